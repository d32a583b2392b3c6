/* Names that people and programs give: of models, of policies. They travel in headers, log lines, and bodies,
 * so one rule holds for all of them, wherever they come from (clients, providers' lists,
 * chains, the configuration, policies).
 */
#ifndef PERI_BASE_NAME_H
#define PERI_BASE_NAME_H

#include "base/str.h"

#define PERI_NAME_MAX 256

/* A name is 1 to PERI_NAME_MAX bytes of UTF-8 without control characters (U+0000 to U+001F, U+007F to U+009F).
 *   gives   NULL when it is one, else what is wrong: "holds a control character". Static text. */
const char *peri_name_fault(struct peri_str name);

#endif
