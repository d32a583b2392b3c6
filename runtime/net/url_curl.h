/* For the client only: the parsed form that libcurl takes. */
#ifndef PERI_NET_URL_CURL_H
#define PERI_NET_URL_CURL_H

#include <curl/curl.h>

#include "net/url.h"

/* libcurl copies it when a transfer starts and never writes to it. */
CURLU *peri_url_curl(const struct peri_url *u);

#endif
