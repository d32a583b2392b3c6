/* The router inside a loop that the host program already has: no threads, one descriptor to watch.
 *
 *     example_embed_own_loop CONFIG        perilune.lua or *.json
 *
 * Serves until a line arrives on standard input (or its end), which stands for whatever else the host's loop does.
 */
#include <perilune.h>

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s CONFIG\n", argv[0]);
        return 2;
    }
    struct peri_router_options options = { .size = sizeof options,
                                           .config_file = argv[1],
                                           .workers = 1 };
    struct peri_router *router;
    struct peri_fault fault;
    if (peri_router_new(&router, &options, &fault) != PERI_OK ||
        peri_router_open(router, &fault) != PERI_OK) {
        fprintf(stderr, "%s\n", fault.text);
        return 1;
    }
    printf("listening on port %u\n", peri_router_port(router, 0));
    fflush(stdout);

    struct pollfd ready[] = { { .fd = peri_router_fd(router), .events = POLLIN },
                              { .fd = STDIN_FILENO, .events = POLLIN } };
    bool is_asked_to_stop = false;
    do {
        poll(ready, is_asked_to_stop ? 1 : 2, peri_router_wait_ms(router));
        if (!is_asked_to_stop && ready[1].revents != 0) {
            is_asked_to_stop = true;
            peri_router_stop(router);
        }
    } while (peri_router_step(router, false));

    peri_router_free(router);
    return 0;
}
