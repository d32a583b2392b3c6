#include "net/unpack.h"

#include <brotli/decode.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/mem.h"

#define STEP            65536
#define ZSTD_WINDOW_LOG 23

/* How much may come out of that much. */
static size_t most_of(const struct peri_buf *out, struct peri_str body) {
    size_t most = body.n > SIZE_MAX / PERI_UNPACK_RATIO ? SIZE_MAX : body.n * PERI_UNPACK_RATIO;
    if (most < PERI_UNPACK_FREE) most = PERI_UNPACK_FREE;
    size_t left = out->max == 0 ? SIZE_MAX : out->max - out->n;
    return out->n + (most < left ? most : left);
}

/* Room for the next step; one byte more than may come shows that there is more. */
static enum peri_err make_room(struct peri_buf *out, size_t most, size_t *room) {
    if (out->n > most) return PERI_ETOOBIG;
    *room = most - out->n < STEP ? most - out->n + 1 : STEP;
    size_t cap = out->max;
    out->max = cap == 0 ? 0 : cap + 1;
    enum peri_err err = peri_buf_reserve(out, *room);
    out->max = cap;
    return err;
}

/* ---- zlib ---- */

static voidpf zalloc(voidpf opaque, uInt items, uInt size) {
    (void)opaque;
    return peri_calloc(items, size);
}

static void zfree(voidpf opaque, voidpf p) {
    (void)opaque;
    peri_free(p);
}

/* `bits`: 31 gzip, 15 zlib, -15 raw deflate (zlib.h, inflateInit2). */
static enum peri_err inflate_all(struct peri_buf *out, struct peri_str body, int bits) {
    z_stream z = { .zalloc = zalloc, .zfree = zfree };
    size_t most = most_of(out, body), room;
    if (inflateInit2(&z, bits) != Z_OK) return PERI_ENOMEM;
    z.next_in = (Bytef *)(uintptr_t)body.p;
    z.avail_in = (uInt)body.n;
    enum peri_err err = PERI_OK;
    int code = Z_OK;
    while (err == PERI_OK) {
        if ((err = make_room(out, most, &room)) != PERI_OK) break;
        z.next_out = (Bytef *)out->p + out->n;
        z.avail_out = (uInt)room;
        code = inflate(&z, Z_NO_FLUSH);
        size_t came = room - z.avail_out;
        out->n += came;
        if (code == Z_MEM_ERROR) err = PERI_ENOMEM;
        if (code == Z_STREAM_END) {
            /* gzip may be several members, one behind the other (RFC 1952, 2.2). */
            if (z.avail_in == 0) break;
            if (bits != 31 || inflateReset(&z) != Z_OK) err = PERI_EMALFORMED;
        } else if (code != Z_OK || (z.avail_in == 0 && came < room)) {
            if (err == PERI_OK) err = PERI_EMALFORMED;
        }
    }
    inflateEnd(&z);
    return err == PERI_OK && out->n > most ? PERI_ETOOBIG : err;
}

/* Most send zlib's format, as the standard says; some send it bare. */
static enum peri_err undo_deflate(struct peri_buf *out, struct peri_str body) {
    size_t before = out->n;
    enum peri_err err = inflate_all(out, body, 15);
    if (err != PERI_EMALFORMED) return err;
    out->n = before;
    return inflate_all(out, body, -15);
}

static enum peri_err undo_gzip(struct peri_buf *out, struct peri_str body) {
    return inflate_all(out, body, 31);
}

/* ---- zstd ---- */

static enum peri_err undo_zstd(struct peri_buf *out, struct peri_str body) {
    size_t most = most_of(out, body), room = 0, left = 1;
    ZSTD_DStream *z = ZSTD_createDStream();
    if (z == NULL) return PERI_ENOMEM;
    enum peri_err err =
        ZSTD_isError(ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG)) ? PERI_EIO
                                                                                      : PERI_OK;
    ZSTD_inBuffer in = { body.p, body.n, 0 };
    while (err == PERI_OK) {
        if ((err = make_room(out, most, &room)) != PERI_OK) break;
        ZSTD_outBuffer step = { out->p + out->n, room, 0 };
        left = ZSTD_decompressStream(z, &step, &in);
        out->n += step.pos;
        if (ZSTD_isError(left))
            err = ZSTD_getErrorCode(left) == ZSTD_error_memory_allocation ? PERI_ENOMEM
                                                                          : PERI_EMALFORMED;
        else if (in.pos == in.size && (left == 0 || step.pos < room))
            break; /* asked once more, it would wait for a frame that nobody sent */
    }
    ZSTD_freeDStream(z);
    if (err == PERI_OK && out->n > most) return PERI_ETOOBIG;
    return err == PERI_OK && left != 0 ? PERI_EMALFORMED : err; /* inside a frame */
}

/* ---- brotli ---- */

static enum peri_err undo_br(struct peri_buf *out, struct peri_str body) {
    size_t most = most_of(out, body), room, left = body.n;
    const uint8_t *in = (const uint8_t *)body.p;
    BrotliDecoderState *b = BrotliDecoderCreateInstance(NULL, NULL, NULL);
    if (b == NULL) return PERI_ENOMEM;
    BrotliDecoderResult result = BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT;
    enum peri_err err = PERI_OK;
    while (err == PERI_OK && result == BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT) {
        if ((err = make_room(out, most, &room)) != PERI_OK) break;
        uint8_t *to = (uint8_t *)out->p + out->n;
        size_t free_bytes = room;
        result = BrotliDecoderDecompressStream(b, &left, &in, &free_bytes, &to, NULL);
        out->n += room - free_bytes;
    }
    if (err == PERI_OK && (result != BROTLI_DECODER_RESULT_SUCCESS || left > 0))
        err = BrotliDecoderGetErrorCode(b) <= BROTLI_DECODER_ERROR_ALLOC_CONTEXT_MODES &&
                      BrotliDecoderGetErrorCode(b) >= BROTLI_DECODER_ERROR_ALLOC_BLOCK_TYPE_TREES
                  ? PERI_ENOMEM
                  : PERI_EMALFORMED;
    BrotliDecoderDestroyInstance(b);
    return err == PERI_OK && out->n > most ? PERI_ETOOBIG : err;
}

enum peri_err peri_unpack(struct peri_buf *out, struct peri_str coding, struct peri_str body) {
    static const struct {
        struct peri_str name;
        enum peri_err (*undo)(struct peri_buf *out, struct peri_str body);
    } codings[] = {
        { PERI_STR_INIT("gzip"), undo_gzip },       { PERI_STR_INIT("x-gzip"), undo_gzip },
        { PERI_STR_INIT("deflate"), undo_deflate }, { PERI_STR_INIT("zstd"), undo_zstd },
        { PERI_STR_INIT("br"), undo_br },           { PERI_STR_INIT("identity"), peri_buf_add },
        { PERI_STR_INIT(""), peri_buf_add },
    };
    coding = peri_str_trim(coding);
    for (size_t i = 0; i < sizeof codings / sizeof *codings; i++)
        if (peri_str_eq_nocase(coding, codings[i].name)) return codings[i].undo(out, body);
    return PERI_ENOTFOUND;
}
