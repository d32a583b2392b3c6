# Sourced by run.sh: the gateways, their configurations and how each is started. Needs $work (a directory), $build,
# $upstream_port. `port_of` and `start_gateway` take one of the names in $gateways.

gateways=(nginx nginx-lua haproxy perilune perilune-signed)
declare -A port_of=([nginx]=18081 [nginx-lua]=18082 [haproxy]=18083 [perilune]=18084 [perilune-signed]=18085)

nginx_common() {
  cat <<CONF
load_module $nginx_modules/ndk_http_module.so;
load_module $nginx_modules/ngx_http_lua_module.so;
worker_processes 1; daemon off; pid $work/$1.pid; error_log $work/$1.log warn;
worker_rlimit_nofile 20000;
events { worker_connections 16384; }
http {
  access_log off;
  client_body_temp_path $work/$1.body; proxy_temp_path $work/$1.proxy; fastcgi_temp_path $work/$1.fastcgi;
  uwsgi_temp_path $work/$1.uwsgi; scgi_temp_path $work/$1.scgi;
  keepalive_requests 100000000; keepalive_timeout 600s; proxy_read_timeout 600s;
  client_body_buffer_size 1m; client_max_body_size 16m;
  lua_package_path "/usr/share/lua/5.1/?.lua;;";
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
CONF
}

# A reverse proxy and nothing else: what moving the bytes costs.
write_nginx() {
  nginx_common nginx
  cat <<CONF
  upstream provider { server 127.0.0.1:$upstream_port; keepalive 512; keepalive_requests 100000000; }
  server { listen 127.0.0.1:${port_of[nginx]} backlog=4096; location / { proxy_pass http://provider; } }
}
CONF
}

# What a gateway in nginx's Lua does at least: decode the body, look at the model, draw a provider by weight.
write_nginx-lua() {
  nginx_common nginx-lua
  cat <<CONF
  init_by_lua_block {
    cjson = require "cjson.safe"
    providers = { { port = $upstream_port, weight = 3 }, { port = $upstream_port, weight = 2 },
                  { port = $upstream_port, weight = 1 } }
  }
  upstream provider {
    server 0.0.0.1;
    balancer_by_lua_block {
      local draw = math.random(6)
      for _, provider in ipairs(providers) do
        draw = draw - provider.weight
        if draw <= 0 then
          assert(require "ngx.balancer".set_current_peer("127.0.0.1", provider.port))
          return
        end
      end
    }
    keepalive 512; keepalive_requests 100000000;
  }
  server {
    listen 127.0.0.1:${port_of[nginx-lua]} backlog=4096;
    location / {
      access_by_lua_block {
        ngx.req.read_body()
        local body = cjson.decode(ngx.req.get_body_data() or "")
        if not body or not body.model then return ngx.exit(400) end
        if ngx.var.http_authorization ~= "Bearer sk-bench" then return ngx.exit(401) end
        ngx.req.set_header("Authorization", "Bearer upstream")
      }
      proxy_pass http://provider;
    }
  }
}
CONF
}

# Without http-no-delay HAProxy gathers a stream's chunks and hands them over together at the end. It stops keeping
# provider connections once a quarter of its descriptors is in use, unless the ratios say otherwise.
write_haproxy() {
  cat <<CONF
global
  nbthread 1
  maxconn 9500
  tune.bufsize 81920
  tune.pool-low-fd-ratio 90
  tune.pool-high-fd-ratio 95
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  option http-keep-alive
  option http-no-delay
  http-reuse always
frontend clients
  bind 127.0.0.1:${port_of[haproxy]} backlog 4096
  default_backend provider
backend provider
  server a 127.0.0.1:$upstream_port
CONF
}

# The weighted policy in Lua, three providers to choose from, every body scanned, one log line per request.
write_perilune() {
  local url=http://127.0.0.1:$upstream_port/v1
  cat <<CONF
return {
  listen = "127.0.0.1:${port_of[perilune]}",
  workers = 1,
  providers = {
    { id = "a", url = "$url", key = "up-a", weight = 3, discover_models = false },
    { id = "b", url = "$url", key = "up-b", weight = 2, discover_models = false },
    { id = "c", url = "$url", key = "up-c", weight = 1, discover_models = false },
  },
  policies = { "$root/policies/weighted.lua" },
}
CONF
}

# The same work towards three Gonka hosts: each request is signed by a key of this run.
write_perilune-signed() {
  local host=http://127.0.0.1:$upstream_port
  cat <<CONF
return {
  listen = "127.0.0.1:${port_of[perilune-signed]}",
  workers = 1,
  providers = {
    { id = "gonka", network = "gonka", private_key = secret "file:$(signing_key)", endpoints = {
      "$host/v1;gonka1y2a9p56kv044327uycmqdexl7zs82fs5ryv5le",
      "$host/b/v1;gonka1dkl4mah5erqggvhqkpc8j3qs5tyuetgdy552cp",
      "$host/c/v1;gonka1v8gk5z7gcv72447yfcd2y8g78qk05yc4f3nk4w",
    } },
  },
  policies = { "$root/policies/weighted.lua" },
}
CONF
}

# A key nobody has used, in a file; made when it is first asked for.
signing_key() {
  [ -e "$work/key" ] || "$build/perilune" keygen --out "$work/key" >/dev/null
  echo "$work/key"
}

# launch NAME COMMAND…: on core 0, output to a log, its process id in $pid.
launch() {
  local name=$1
  shift
  "${on_gateway_core[@]}" "$@" >"$work/$name.out" 2>&1 </dev/null &
  pid=$!
}

start_gateway() {
  local name=$1 config=$work/$1.conf
  [[ "$name" != perilune* ]] || config=$work/$name.lua
  "write_$name" >"$config"
  case "$name" in
    nginx | nginx-lua) launch "$name" nginx -p "$work" -e "$work/$name.log" -c "$config" ;;
    haproxy) launch "$name" haproxy -db -f "$config" ;;
    perilune | perilune-signed) launch "$name" "$build/perilune" serve --config "$config" ;;
  esac
}
