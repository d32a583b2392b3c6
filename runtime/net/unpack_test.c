#include "net/unpack.h"

#include <zlib.h>
#include <zstd.h>

#include "base/test.h"

#define TEXT                                                                                       \
    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hello hello hello hello\"}]}"

/* TEXT, packed by node 20 (zlib, brotli) and by zstd 1.5.4. */
static const unsigned char gzip_text[] = {
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0x65, 0xc4, 0xb1, 0x0d,
    0x80, 0x30, 0x0c, 0x45, 0xc1, 0x55, 0xd0, 0xab, 0x99, 0xc0, 0xab, 0x20, 0x0a, 0x04,
    0x5f, 0x50, 0x38, 0xb1, 0x14, 0x87, 0x2a, 0xca, 0xee, 0x0c, 0xc0, 0x15, 0x37, 0x28,
    0x71, 0xc9, 0x31, 0x0a, 0x2b, 0x45, 0x99, 0xc7, 0xad, 0xc4, 0xb6, 0x41, 0x0b, 0x17,
    0xc6, 0x9b, 0x6a, 0xac, 0x9c, 0x51, 0xbb, 0x6a, 0xc7, 0x78, 0xe4, 0x1e, 0xcb, 0x6f,
    0xe6, 0x3e, 0x3f, 0xbb, 0x61, 0xfe, 0xb3, 0x4e, 0x00, 0x00, 0x00
};
static const unsigned char deflate_text[] = {
    0x78, 0x9c, 0x65, 0xc4, 0xb1, 0x0d, 0x80, 0x30, 0x0c, 0x45, 0xc1, 0x55, 0xd0, 0xab,
    0x99, 0xc0, 0xab, 0x20, 0x0a, 0x04, 0x5f, 0x50, 0x38, 0xb1, 0x14, 0x87, 0x2a, 0xca,
    0xee, 0x0c, 0xc0, 0x15, 0x37, 0x28, 0x71, 0xc9, 0x31, 0x0a, 0x2b, 0x45, 0x99, 0xc7,
    0xad, 0xc4, 0xb6, 0x41, 0x0b, 0x17, 0xc6, 0x9b, 0x6a, 0xac, 0x9c, 0x51, 0xbb, 0x6a,
    0xc7, 0x78, 0xe4, 0x1e, 0xcb, 0x6f, 0xe6, 0x3e, 0x3f, 0xfe, 0x81, 0x1a, 0xb7
};
static const unsigned char raw_text[] = {
    0x65, 0xc4, 0xb1, 0x0d, 0x80, 0x30, 0x0c, 0x45, 0xc1, 0x55, 0xd0, 0xab, 0x99, 0xc0, 0xab, 0x20,
    0x0a, 0x04, 0x5f, 0x50, 0x38, 0xb1, 0x14, 0x87, 0x2a, 0xca, 0xee, 0x0c, 0xc0, 0x15, 0x37, 0x28,
    0x71, 0xc9, 0x31, 0x0a, 0x2b, 0x45, 0x99, 0xc7, 0xad, 0xc4, 0xb6, 0x41, 0x0b, 0x17, 0xc6, 0x9b,
    0x6a, 0xac, 0x9c, 0x51, 0xbb, 0x6a, 0xc7, 0x78, 0xe4, 0x1e, 0xcb, 0x6f, 0xe6, 0x3e, 0x3f
};
static const unsigned char br_text[] = {
    0x1b, 0x4d, 0x00, 0x70, 0x9c, 0x07, 0x76, 0x0c, 0x99, 0x06, 0x5a, 0x58, 0xc0, 0xe9, 0xde, 0x6a,
    0x91, 0x3d, 0xb6, 0xad, 0xd5, 0x26, 0xd7, 0x3a, 0x2c, 0x5d, 0x7d, 0x53, 0xa4, 0xec, 0x0d, 0x1c,
    0x72, 0x22, 0x70, 0x6c, 0x49, 0x02, 0xcd, 0x63, 0x0c, 0x36, 0xe0, 0x30, 0xf2, 0xc6, 0x65, 0xe1,
    0x49, 0x6a, 0x90, 0xe1, 0x65, 0xf9, 0x43, 0x65, 0x11, 0xe1, 0xc1, 0x4d, 0x7c, 0x07
};
static const unsigned char zstd_text[] = {
    0x28, 0xb5, 0x2f, 0xfd, 0x24, 0x4e, 0x2d, 0x02, 0x00, 0xd4, 0x03, 0x7b, 0x22, 0x6d,
    0x6f, 0x64, 0x65, 0x6c, 0x22, 0x3a, 0x22, 0x6d, 0x22, 0x2c, 0x22, 0x6d, 0x65, 0x73,
    0x73, 0x61, 0x67, 0x65, 0x73, 0x22, 0x3a, 0x5b, 0x7b, 0x22, 0x72, 0x6f, 0x6c, 0x65,
    0x22, 0x3a, 0x22, 0x75, 0x73, 0x65, 0x72, 0x22, 0x2c, 0x22, 0x63, 0x6f, 0x6e, 0x74,
    0x65, 0x6e, 0x74, 0x22, 0x3a, 0x22, 0x68, 0x65, 0x6c, 0x6c, 0x6f, 0x20, 0x22, 0x7d,
    0x5d, 0x7d, 0x01, 0x00, 0x99, 0xb9, 0x40, 0x01, 0xb0, 0xfe, 0x21, 0x6d
};

static const struct {
    const char *coding;
    const unsigned char *bytes;
    size_t n;
} packed[] = {
    { "gzip", gzip_text, sizeof gzip_text },
    { "GZIP ", gzip_text, sizeof gzip_text },
    { "x-gzip", gzip_text, sizeof gzip_text },
    { "deflate", deflate_text, sizeof deflate_text },
    { "deflate", raw_text, sizeof raw_text },
    { "br", br_text, sizeof br_text },
    { "zstd", zstd_text, sizeof zstd_text },
    { "identity", (const unsigned char *)TEXT, sizeof TEXT - 1 },
    { "", (const unsigned char *)TEXT, sizeof TEXT - 1 },
};
#define PACKED (sizeof packed / sizeof *packed)

static enum peri_err unpack(struct peri_buf *out, size_t max, const char *coding, const void *bytes,
                            size_t n) {
    char *p = test_guarded(bytes, n);
    peri_buf_init(out, max);
    enum peri_err err = peri_unpack(out, peri_str_of(coding), (struct peri_str){ p, n });
    test_guarded_free(p, n);
    return err;
}

TEST(unpack_undoes_every_coding) {
    for (size_t i = 0; i < PACKED; i++) {
        struct peri_buf out;
        CHECK_EQ(unpack(&out, 0, packed[i].coding, packed[i].bytes, packed[i].n), PERI_OK);
        CHECK_STR(peri_buf_str(&out), TEXT);
        peri_buf_done(&out);
    }
}

TEST(unpack_knows_no_other_coding) {
    static const char *const others[] = { "compress", "gzip, br", "gzip,gzip", "lz4", "gz" };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct peri_buf out;
        CHECK_EQ(unpack(&out, 0, others[i], gzip_text, sizeof gzip_text), PERI_ENOTFOUND);
        peri_buf_done(&out);
    }
}

TEST(unpack_refuses_what_is_cut_or_goes_on) {
    for (size_t i = 0; i < 7; i++) {
        for (size_t n = 0; n < packed[i].n; n++) {
            struct peri_buf out;
            enum peri_err err = unpack(&out, 0, packed[i].coding, packed[i].bytes, n);
            /* Nothing at all is no frame of zstd, and so no text: the reader of the text says what is missing. */
            bool is_nothing = n == 0 && packed[i].bytes == zstd_text;
            CHECK(err == PERI_EMALFORMED || is_nothing);
            peri_buf_done(&out);
        }
        char more[512];
        struct peri_buf out;
        memcpy(more, packed[i].bytes, packed[i].n);
        memcpy(more + packed[i].n, "more", 4);
        CHECK_EQ(unpack(&out, 0, packed[i].coding, more, packed[i].n + 4), PERI_EMALFORMED);
        peri_buf_done(&out);
    }
}

TEST(unpack_takes_gzip_in_several_members) {
    char twice[2 * sizeof gzip_text];
    struct peri_buf out;
    memcpy(twice, gzip_text, sizeof gzip_text);
    memcpy(twice + sizeof gzip_text, gzip_text, sizeof gzip_text);
    CHECK_EQ(unpack(&out, 0, "gzip", twice, sizeof twice), PERI_OK);
    CHECK_STR(peri_buf_str(&out), TEXT TEXT);
    peri_buf_done(&out);
}

TEST(unpack_keeps_to_the_cap_of_the_buffer) {
    for (size_t i = 0; i < PACKED; i++) {
        for (size_t max = 1; max <= sizeof TEXT; max++) {
            struct peri_buf out;
            enum peri_err err = unpack(&out, max, packed[i].coding, packed[i].bytes, packed[i].n);
            CHECK_EQ(err, max < sizeof TEXT - 1 ? PERI_ETOOBIG : PERI_OK);
            peri_buf_done(&out);
        }
    }
}

/* Decoders are given room in steps: a text that ends where a step does is whole, too. */
TEST(unpack_takes_a_text_of_any_size) {
    enum { MOST = 3 * 65536 + 1 };
    char *text = malloc(MOST), *bytes = malloc(2 * MOST);
    if (text == NULL || bytes == NULL) abort();
    for (size_t i = 0; i < MOST; i++) text[i] = (char)('a' + i % 23 + i / 4096 % 3);
    for (size_t n = 65535; n <= MOST; n += n % 65536 == 1 ? 65534 : 1) {
        struct peri_buf out;
        uLongf size = 2 * MOST;
        CHECK_EQ(compress((Bytef *)bytes, &size, (const Bytef *)text, n), Z_OK);
        CHECK_EQ(unpack(&out, 0, "deflate", bytes, size), PERI_OK);
        CHECK_EQ(out.n, n);
        peri_buf_done(&out);
        size = ZSTD_compress(bytes, 2 * MOST, text, n, 1);
        CHECK_EQ(unpack(&out, 0, "zstd", bytes, size), PERI_OK);
        CHECK(peri_str_eq(peri_buf_str(&out), (struct peri_str){ text, n }));
        peri_buf_done(&out);
    }
    free(bytes);
    free(text);
}

/* Zeros, packed 1,000 to 1 and better. */
static void pack_zeros(struct peri_buf *out, size_t n) {
    char *zeros = calloc(1, n);
    uLongf size = compressBound(n);
    if (zeros == NULL || peri_buf_reserve(out, size) != PERI_OK) abort();
    if (compress((Bytef *)out->p, &size, (const Bytef *)zeros, n) != Z_OK) abort();
    out->n = size;
    free(zeros);
}

TEST(unpack_stops_a_bomb_at_the_ratio) {
    struct peri_buf bomb, out;
    peri_buf_init(&bomb, 0);
    pack_zeros(&bomb, 64 << 20);
    CHECK_EQ(unpack(&out, 0, "deflate", bomb.p, bomb.n), PERI_ETOOBIG);
    CHECK(out.n <= bomb.n * PERI_UNPACK_RATIO + 65536);
    CHECK(out.n < 8 << 20);
    peri_buf_done(&out);
    peri_buf_done(&bomb);
    peri_buf_init(&bomb, 0);
    pack_zeros(&bomb, PERI_UNPACK_FREE);
    CHECK_EQ(unpack(&out, 0, "deflate", bomb.p, bomb.n), PERI_OK);
    CHECK_EQ(out.n, PERI_UNPACK_FREE);
    peri_buf_done(&out);
    peri_buf_done(&bomb);
}

TEST(unpack_out_of_memory_is_an_error_and_nothing_leaks) {
    TEST_EACH_FAILING_ALLOCATION {
        struct peri_buf out;
        peri_buf_init(&out, 0);
        struct peri_str body = { (const char *)gzip_text, sizeof gzip_text };
        enum peri_err err = peri_unpack(&out, PERI_STR("gzip"), body);
        CHECK(err == PERI_ENOMEM || err == PERI_OK);
        if (test_torture_done) CHECK_STR(peri_buf_str(&out), TEXT);
        peri_buf_done(&out);
    }
}
