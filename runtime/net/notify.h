/* Tells a service manager how the process stands: systemd's protocol (Type=notify), without its library.
 *
 * A message is a datagram of KEY=value lines to the socket that NOTIFY_SOCKET names: a path, or an abstract name
 * behind '@'. Without that variable nothing is sent. A manager that reads nothing is waited for one second.
 *
 * Source: sd_notify(3).
 */
#ifndef PERI_NET_NOTIFY_H
#define PERI_NET_NOTIFY_H

#include "perilune.h"

/* gives PERI_OK (also when nobody asked for messages) · PERI_EINVAL NOTIFY_SOCKET names no socket of this kind ·
 *       PERI_EIO it was not taken: see errno */
PERI_MUST_USE enum peri_err peri_notify_ready(void);
/* Ready again, and whether the reload was refused, for `systemctl status`. */
PERI_MUST_USE enum peri_err peri_notify_reloaded(bool is_refused);
PERI_MUST_USE enum peri_err peri_notify_reloading(void);
PERI_MUST_USE enum peri_err peri_notify_stopping(void);

#endif
