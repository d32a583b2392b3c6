/* SipHash-1-3 (Aumasson and Bernstein 2012, with the rounds that hash tables use): for tables whose keys come from
 * strangers, who without the secret can not choose keys that collide. */
#ifndef PERI_BASE_SIPHASH_H
#define PERI_BASE_SIPHASH_H

#include "base/str.h"

uint64_t peri_siphash(const uint64_t secret[2], struct peri_str key);

#endif
