/* The other end of the wire: a raw socket with which a test plays a byte-exact WebSocket client or server.
 *
 * It knows the bytes of RFC 6455 and nothing of the library, and judges nothing but what it is told to expect. Every wait is bounded by
 * PEER_WAIT_MS, so a silent library fails a test instead of hanging it. */
#ifndef PEER_H
#define PEER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>

#include "check.h"

#define PEER_WAIT_MS 5000
#define PEER_KEY "dGhlIHNhbXBsZSBub25jZQ=="                /* RFC 6455 §1.3 */
#define PEER_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define PEER_HEAD_SIZE 131072

/* ---- sockets ----------------------------------------------------------------------------------------------------------------------- */

static inline void peer_no_delay(int descriptor) {
  int on = 1;
  (void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* A listening socket on a free port of 127.0.0.1; -1 = failed. */
static inline int peer_listen(uint16_t *port) {
  struct sockaddr_in address;
  socklen_t length = sizeof address;
  int descriptor = socket(AF_INET, SOCK_STREAM, 0);
  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (descriptor < 0 || bind(descriptor, (struct sockaddr *)&address, sizeof address) != 0 || listen(descriptor, 16) != 0 ||
      getsockname(descriptor, (struct sockaddr *)&address, &length) != 0) {
    (void)check_failed(__FILE__, __LINE__, "peer_listen: %s", strerror(errno));
    return -1;
  }
  *port = ntohs(address.sin_port);
  return descriptor;
}

static inline bool peer_wait(int descriptor, short events) {
  struct pollfd entry = {descriptor, events, 0};
  return poll(&entry, 1, PEER_WAIT_MS) == 1;
}

static inline int peer_accept(int listener) {
  int descriptor = peer_wait(listener, POLLIN) ? accept(listener, NULL, NULL) : -1;
  if (descriptor < 0) (void)check_failed(__FILE__, __LINE__, "peer_accept: nobody came");
  else peer_no_delay(descriptor);
  return descriptor;
}

static inline int peer_dial(uint16_t port) {
  struct sockaddr_in address;
  int descriptor = socket(AF_INET, SOCK_STREAM, 0);
  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (descriptor < 0 || connect(descriptor, (struct sockaddr *)&address, sizeof address) != 0) {
    (void)check_failed(__FILE__, __LINE__, "peer_dial: %s", strerror(errno));
    return -1;
  }
  peer_no_delay(descriptor);
  return descriptor;
}

/* Sends all of it; false if the other end is gone (which some tests want, so it is no failure by itself). */
static inline bool peer_send(int descriptor, const void *bytes, size_t length) {
  const uint8_t *at = bytes;
  while (length > 0) {
    ssize_t sent = send(descriptor, at, length, MSG_NOSIGNAL);
    if (sent < 0) return false;
    at += sent;
    length -= (size_t)sent;
  }
  return true;
}

/* The same, every byte in a segment of its own. */
static inline bool peer_send_split(int descriptor, const void *bytes, size_t length) {
  for (size_t i = 0; i < length; i++) {
    if (!peer_send(descriptor, (const uint8_t *)bytes + i, 1)) return false;
  }
  return true;
}

static inline bool peer_send_text(int descriptor, const char *text) { return peer_send(descriptor, text, strlen(text)); }

/* Up to `length` bytes; 0 = the end, -1 = nothing came in time or the connection was reset. */
static inline ssize_t peer_read(int descriptor, void *bytes, size_t length) {
  return peer_wait(descriptor, POLLIN) ? recv(descriptor, bytes, length, 0) : -1;
}

static inline bool peer_read_exact(int descriptor, void *bytes, size_t length) {
  uint8_t *at = bytes;
  while (length > 0) {
    ssize_t count = peer_read(descriptor, at, length);
    if (count <= 0) return false;
    at += count;
    length -= (size_t)count;
  }
  return true;
}

/* Whether the stream ends here: an orderly end and not one byte more. */
static inline bool peer_is_at_end(int descriptor) {
  uint8_t byte;
  return peer_read(descriptor, &byte, 1) == 0;
}

/* Whether the other end is gone, after whatever it still had to say; a reset is fine too. */
static inline bool peer_is_gone(int descriptor) {
  uint8_t bytes[4096];
  ssize_t count;
  do {
    if (!peer_wait(descriptor, POLLIN)) return false;
    count = recv(descriptor, bytes, sizeof bytes, 0);
  } while (count > 0);
  return true;
}

/* ends with a reset instead of an orderly end */
static inline void peer_reset(int descriptor) {
  struct linger now = {1, 0};
  (void)setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  (void)close(descriptor);
}

/* ---- Sec-WebSocket-Accept ---------------------------------------------------------------------------------------------------------- */

static inline uint32_t peer_rotate(uint32_t word, int bits) { return (word << bits) | (word >> (32 - bits)); }

/* One block of SHA-1 (RFC 3174 §6.1). */
static inline void peer_sha1_block(uint32_t hash[5], const uint8_t block[64]) {
  uint32_t w[80], a = hash[0], b = hash[1], c = hash[2], d = hash[3], e = hash[4];
  for (int t = 0; t < 16; t++) {
    const uint8_t *p = block + 4 * t;
    w[t] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
  }
  for (int t = 16; t < 80; t++) w[t] = peer_rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
  for (int t = 0; t < 80; t++) {
    uint32_t f = t < 20 ? (b & c) | (~b & d) : t < 40 || t >= 60 ? b ^ c ^ d : (b & c) | (b & d) | (c & d);
    uint32_t k = t < 20 ? 0x5A827999u : t < 40 ? 0x6ED9EBA1u : t < 60 ? 0x8F1BBCDCu : 0xCA62C1D6u;
    uint32_t next = peer_rotate(a, 5) + f + e + w[t] + k;
    e = d, d = c, c = peer_rotate(b, 30), b = a, a = next;
  }
  hash[0] += a, hash[1] += b, hash[2] += c, hash[3] += d, hash[4] += e;
}

/* SHA-1 of a text of at most 119 bytes: one or two blocks. */
static inline void peer_sha1(const char *text, uint8_t digest[20]) {
  uint32_t hash[5] = {0x67452301u, 0xEFCDAB89u, 0x98BADCFEu, 0x10325476u, 0xC3D2E1F0u};
  uint8_t blocks[128] = {0};
  size_t length = strlen(text), size = length < 56 ? 64 : 128;
  memcpy(blocks, text, length);
  blocks[length] = 0x80;
  blocks[size - 2] = (uint8_t)(length >> 5);
  blocks[size - 1] = (uint8_t)(length << 3);
  for (size_t at = 0; at < size; at += 64) peer_sha1_block(hash, blocks + at);
  for (int i = 0; i < 20; i++) digest[i] = (uint8_t)(hash[i / 4] >> (24 - 8 * (i % 4)));
}

static inline void peer_base64(const uint8_t *bytes, size_t length, char *text) {
  static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < length; i += 3) {
    uint32_t b1 = i + 1 < length ? bytes[i + 1] : 0u, b2 = i + 2 < length ? bytes[i + 2] : 0u;
    uint32_t word = (uint32_t)bytes[i] << 16 | b1 << 8 | b2;
    *text++ = alphabet[word >> 18];
    *text++ = alphabet[(word >> 12) & 63u];
    *text++ = i + 1 < length ? alphabet[(word >> 6) & 63u] : '=';
    *text++ = i + 2 < length ? alphabet[word & 63u] : '=';
  }
  *text = '\0';
}

/* The accept value for a key of at most 80 characters. `accept` has room for 29. */
static inline void peer_accept_value(const char *key, char *accept) {
  char text[128];
  uint8_t digest[20];
  (void)snprintf(text, sizeof text, "%.80s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
  peer_sha1(text, digest);
  peer_base64(digest, sizeof digest, accept);
}

/* ---- heads ------------------------------------------------------------------------------------------------------------------------- */

/* Reads one HTTP head, up to and with its empty line and not a byte more. */
static inline bool peer_read_head(int descriptor, char *head, size_t capacity) {
  size_t length = 0;
  while (length + 1 < capacity && peer_read_exact(descriptor, head + length, 1)) {
    length++;
    head[length] = '\0';
    if (length >= 4 && memcmp(head + length - 4, "\r\n\r\n", 4) == 0) return true;
  }
  head[length] = '\0';
  return check_failed(__FILE__, __LINE__, "no whole HTTP head; it starts \"%.60s\"", head);
}

/* A field's value copied into `value`; false if the head has no such field. */
static inline bool peer_header(const char *head, const char *name, char *value, size_t capacity) {
  size_t length = strlen(name);
  for (const char *line = strstr(head, "\r\n"); line != NULL && line[2] != '\r' && line[2] != '\0'; line = strstr(line + 2, "\r\n")) {
    const char *at = line + 2;
    if (strncasecmp(at, name, length) != 0 || at[length] != ':') continue;
    for (at += length + 1; *at == ' '; at++) {}
    (void)snprintf(value, capacity, "%.*s", (int)strcspn(at, "\r\n"), at);
    return true;
  }
  return false;
}

static inline int peer_http_status(const char *head) {
  int status = 0;
  return sscanf(head, "HTTP/1.1 %3d", &status) == 1 ? status : 0;
}

/* The answer to an upgrade request's head, with further fields ("Name: value\r\n…"). */
static inline bool peer_answer_upgrade(int descriptor, const char *request, const char *fields) {
  char key[100], accept[32], answer[4096];
  if (!peer_header(request, "Sec-WebSocket-Key", key, sizeof key)) return check_failed(__FILE__, __LINE__, "the request has no key");
  peer_accept_value(key, accept);
  (void)snprintf(answer, sizeof answer,
                 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s\r\n", accept,
                 fields);
  return peer_send_text(descriptor, answer);
}

/* A correct request for an upgrade, with further fields. */
static inline bool peer_send_upgrade(int descriptor, const char *target, const char *fields) {
  char request[4096];
  (void)snprintf(request, sizeof request,
                 "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " PEER_KEY
                 "\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
                 target, fields);
  return peer_send_text(descriptor, request);
}

/* ---- frames ------------------------------------------------------------------------------------------------------------------------ */

#define PEER_FIN 0x80
enum { PEER_CONTINUATION = 0, PEER_TEXT = 1, PEER_BINARY = 2, PEER_CLOSE = 8, PEER_PING = 9, PEER_PONG = 10 };

typedef struct peer_frame {
  uint8_t first;                 /* FIN, reserved bits, opcode */
  bool is_masked;
  uint8_t mask[4];
  size_t header_length;          /* 2, 4 or 10, without the mask */
  size_t length;
  uint8_t payload[66000];        /* unmasked */
} peer_frame;

/* Writes a frame with the shortest length form and returns its size; `out` has room for the payload and 14 bytes more. */
static inline size_t peer_write_frame(uint8_t *out, uint8_t first, bool masked, const void *payload, size_t length) {
  static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d}; /* RFC 6455 §5.7 */
  uint8_t bit = masked ? 0x80 : 0;
  size_t at = 2;
  out[0] = first;
  if (length < 126) {
    out[1] = (uint8_t)(bit | length);
  } else if (length < 65536) {
    out[1] = (uint8_t)(bit | 126u);
    for (int shift = 8; shift >= 0; shift -= 8) out[at++] = (uint8_t)(length >> shift);
  } else {
    out[1] = (uint8_t)(bit | 127u);
    for (int shift = 56; shift >= 0; shift -= 8) out[at++] = (uint8_t)((uint64_t)length >> shift);
  }
  if (masked) memcpy(out + at, mask, 4), at += 4;
  for (size_t i = 0; i < length; i++) out[at + i] = (uint8_t)(((const uint8_t *)payload)[i] ^ (masked ? mask[i % 4] : 0));
  return at + length;
}

/* The payload of a close frame; returns its length. */
static inline size_t peer_close_payload(uint8_t *out, uint16_t status, const char *reason) {
  size_t length = strlen(reason);
  out[0] = (uint8_t)(status >> 8);
  out[1] = (uint8_t)status;
  memcpy(out + 2, reason, length);
  return length + 2;
}

static inline bool peer_read_frame(int descriptor, peer_frame *frame) {
  uint8_t head[8];
  uint64_t length;
  memset(frame, 0, offsetof(peer_frame, payload));
  if (!peer_read_exact(descriptor, head, 2)) return false;
  frame->first = head[0];
  frame->is_masked = (head[1] & 0x80) != 0;
  length = head[1] & 0x7fu;
  frame->header_length = length == 126 ? 4 : length == 127 ? 10 : 2;
  if (frame->header_length > 2) {
    if (!peer_read_exact(descriptor, head, frame->header_length - 2)) return false;
    length = 0;
    for (size_t i = 0; i < frame->header_length - 2; i++) length = length << 8 | head[i];
  }
  if (frame->is_masked && !peer_read_exact(descriptor, frame->mask, 4)) return false;
  if (length > sizeof frame->payload) return check_failed(__FILE__, __LINE__, "a frame of %llu bytes", (unsigned long long)length);
  frame->length = (size_t)length;
  if (!peer_read_exact(descriptor, frame->payload, frame->length)) return false;
  for (size_t i = 0; frame->is_masked && i < frame->length; i++) frame->payload[i] ^= frame->mask[i % 4];
  return true;
}

#endif
