/* For the other files of net/ only: the event library's own loop. */
#ifndef PERI_NET_LOOP_UV_H
#define PERI_NET_LOOP_UV_H

#include <uv.h>

#include "net/loop.h"

uv_loop_t *peri_loop_uv(struct peri_loop *loop);

#endif
