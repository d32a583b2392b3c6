#include "base/name.h"

#include "base/test.h"

TEST(name_every_byte) {
    for (int c = 0; c < 256; c++) {
        char text[] = { 'a', (char)c, 'b' };
        bool is_fine = c >= 0x20 && c < 0x7f;
        CHECK_EQ(peri_name_fault((struct peri_str){ text, 3 }) == NULL, is_fine);
        CHECK_EQ(peri_name_fault((struct peri_str){ text + 1, 1 }) == NULL, is_fine);
    }
}

TEST(name_beyond_ascii) {
    CHECK(peri_name_fault(PERI_STR("模型-é-😀")) == NULL);
    CHECK(peri_name_fault(PERI_STR("a\xc2\xa0")) == NULL); /* U+00A0 */
    CHECK(peri_name_fault(PERI_STR("a\xc2\x80")) != NULL); /* U+0080 */
    CHECK(peri_name_fault(PERI_STR("a\xc2\x9f")) != NULL); /* U+009F */
    CHECK(peri_name_fault(PERI_STR("\xc3\xc2\x9f")) != NULL);
    CHECK(peri_name_fault(PERI_STR("\xed\xa0\x80")) != NULL); /* a surrogate */
    CHECK(peri_name_fault(PERI_STR("\xc0\x80")) != NULL);     /* overlong */
}

TEST(name_lengths) {
    char text[PERI_NAME_MAX + 1];
    memset(text, 'm', sizeof text);
    CHECK_STR(peri_str_of(peri_name_fault(PERI_STR(""))), "is empty");
    CHECK(peri_name_fault((struct peri_str){ text, PERI_NAME_MAX }) == NULL);
    CHECK_STR(peri_str_of(peri_name_fault((struct peri_str){ text, PERI_NAME_MAX + 1 })),
              "is longer than 256 bytes");
}
