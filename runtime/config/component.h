/* The parts of the router that log lines come from: each has a level of its own where `log.levels` says so, and its name
 * stands in the line. */
#ifndef PERI_CONFIG_COMPONENT_H
#define PERI_CONFIG_COMPONENT_H

/* X(NAME, "its name", "what its lines tell") */
#define PERI_COMPONENT_MAP(X)                                                                      \
    X(SERVER, "server", "start and end, addresses, the fleet")                                     \
    X(CONFIG, "config", "reloads and what they could not change")                                  \
    X(REQUEST, "request", "one line for each request")                                             \
    X(ATTEMPT, "attempt", "attempts at providers that failed, what a network's refusal means")     \
    X(POLICY, "policy", "what policies say, and how they fail")                                    \
    X(NETWORK, "network", "networks, their hosts, webhooks")                                       \
    X(CATALOG, "catalog", "lists of models read from providers")                                   \
    X(ADMIN, "admin", "the operator's API")

enum peri_component {
#define PERI_COMPONENT_ENUM(name, text, about) PERI_COMPONENT_##name,
    PERI_COMPONENT_MAP(PERI_COMPONENT_ENUM)
#undef PERI_COMPONENT_ENUM
        PERI_COMPONENT_COUNT
};

#endif
