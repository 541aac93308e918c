/* SHA-1 (RFC 3174) of a whole buffer, as 40 hexadecimal digits: how probe_client names what it received. For comparing, not for secrets. */
#ifndef WS101_EXAMPLE_SHA1_H
#define WS101_EXAMPLE_SHA1_H
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static inline uint32_t sha1_rotate(uint32_t word, unsigned bits) { return word << bits | word >> (32 - bits); }

static inline void sha1_block(uint32_t state[5], const unsigned char *block)
{
    uint32_t w[80], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    for (int i = 0; i != 16; ++i)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 | (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i != 80; ++i) w[i] = sha1_rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (int i = 0; i != 80; ++i) {
        uint32_t f = i < 20 ? (b & c) | (~b & d) : i < 40 ? b ^ c ^ d : i < 60 ? (b & c) | (b & d) | (c & d) : b ^ c ^ d;
        uint32_t k = i < 20 ? 0x5A827999u : i < 40 ? 0x6ED9EBA1u : i < 60 ? 0x8F1BBCDCu : 0xCA62C1D6u;
        uint32_t next = sha1_rotate(a, 5) + f + e + k + w[i];
        e = d, d = c, c = sha1_rotate(b, 30), b = a, a = next;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e;
}

static inline void sha1_hex(const void *data, size_t length, char hex[41])
{
    uint32_t state[5] = {0x67452301u, 0xEFCDAB89u, 0x98BADCFEu, 0x10325476u, 0xC3D2E1F0u};
    const unsigned char *bytes = data;
    unsigned char tail[128] = {0};
    size_t whole = length / 64 * 64, rest = length - whole, end = rest < 56 ? 64 : 128;
    for (size_t i = 0; i != whole; i += 64) sha1_block(state, bytes + i);
    if (rest != 0) memcpy(tail, bytes + whole, rest);
    tail[rest] = 0x80;
    for (unsigned i = 0; i != 8; ++i) tail[end - 1 - i] = (unsigned char)((uint64_t)length * 8 >> 8 * i);
    for (size_t i = 0; i != end; i += 64) sha1_block(state, tail + i);
    for (int i = 0; i != 5; ++i) snprintf(hex + 8 * i, 9, "%08x", (unsigned)state[i]);
}

#endif
