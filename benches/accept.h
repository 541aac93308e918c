/* Sec-WebSocket-Accept for the servers among the benchmarks that stand on bare sockets. */
#ifndef WS101_BENCH_ACCEPT_H
#define WS101_BENCH_ACCEPT_H
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static inline uint32_t rotate(uint32_t word, unsigned bits) { return word << bits | word >> (32 - bits); }

/* SHA-1 of at most 119 bytes (RFC 3174). */
static inline void sha1(const char *text, size_t length, unsigned char digest[20])
{
    unsigned char block[128] = {0};
    size_t end = length < 56 ? 64 : 128;
    uint32_t state[5] = {0x67452301u, 0xEFCDAB89u, 0x98BADCFEu, 0x10325476u, 0xC3D2E1F0u};
    memcpy(block, text, length);
    block[length] = 0x80;
    block[end - 2] = (unsigned char)(length * 8 >> 8);
    block[end - 1] = (unsigned char)(length * 8);
    for (size_t at = 0; at != end; at += 64) {
        uint32_t w[80], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
        for (size_t i = 0; i != 16; ++i)
            w[i] = (uint32_t)block[at + 4 * i] << 24 | (uint32_t)block[at + 4 * i + 1] << 16 | (uint32_t)block[at + 4 * i + 2] << 8 |
                   block[at + 4 * i + 3];
        for (size_t i = 16; i != 80; ++i) w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
        for (size_t i = 0; i != 80; ++i) {
            uint32_t f = i < 20 ? (b & c) | (~b & d) : i < 40 ? b ^ c ^ d : i < 60 ? (b & c) | (b & d) | (c & d) : b ^ c ^ d;
            uint32_t k = i < 20 ? 0x5A827999u : i < 40 ? 0x6ED9EBA1u : i < 60 ? 0x8F1BBCDCu : 0xCA62C1D6u;
            uint32_t next = rotate(a, 5) + f + e + k + w[i];
            e = d, d = c, c = rotate(b, 30), b = a, a = next;
        }
        state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e;
    }
    for (size_t i = 0; i != 20; ++i) digest[i] = (unsigned char)(state[i / 4] >> (24 - 8 * (i % 4)));
}

/* Sec-WebSocket-Accept (RFC 6455 §4.2.2). */
static inline void accept_value(const char *key, char value[29])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char text[64];
    unsigned char digest[21] = {0};
    int length = snprintf(text, sizeof text, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    sha1(text, (size_t)length, digest);
    for (size_t i = 0; i != 7; ++i) {
        uint32_t three = (uint32_t)digest[3 * i] << 16 | (uint32_t)digest[3 * i + 1] << 8 | digest[3 * i + 2];
        for (size_t j = 0; j != 4; ++j) value[4 * i + j] = digits[three >> (18 - 6 * j) & 63];
    }
    value[27] = '=';
    value[28] = 0;
}

#endif
