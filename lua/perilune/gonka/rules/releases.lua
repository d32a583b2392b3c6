--- releases: what the network's gateways differ in from one release to the next. The tables are meant to be read.
--
--   output_floor          the least max_tokens and min_tokens that are sent on, for every model
--   keeps_effort          reasoning_effort is sent on, "max" among its values
--   drops_stop_token_ids  stop_token_ids is taken away unread
--   single_choice         n is 1 when it is sent at all
--   says_no_thinking      where there is no room to think, the template is told so
--   says_always_thinks    templates that always think are told so
--   traits                which of the rules that only it needs it wakes
local releases = { usual = "v0.2.14" }

releases.known = {
  ["v0.2.14"] = { output_floor = 1, traits = {} },
  ["v0.2.15"] = { output_floor = 64, keeps_effort = true, drops_stop_token_ids = true, single_choice = true,
    says_no_thinking = true, says_always_thinks = true, traits = { "-floor" } },
}

return releases
