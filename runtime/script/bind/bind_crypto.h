/* peri.gonka for trusted scripts: the node's side of Gonka's signatures, and wallets from key files.
 *
 *     local ok = peri.gonka.check { authorization = …, body = …, timestamp = …, node = …, public_key = … }
 *     local wallet = assert(peri.gonka.wallet "file:payer.key")    -- { address =, public_key = }
 *
 * Simulated networks and specs are made with it; lua/perilune/_meta/gonka.lua describes it. Private keys stay in C:
 * scripts name where one is, and get addresses, public keys and signatures.
 */
#ifndef PERI_SCRIPT_BIND_BIND_CRYPTO_H
#define PERI_SCRIPT_BIND_BIND_CRYPTO_H

#include "script/state/state.h"

/* Pushes the member `gonka` of the module table. */
PERI_RAISES void peri_bind_crypto_open(lua_State *L, struct peri_state *s);

#endif
