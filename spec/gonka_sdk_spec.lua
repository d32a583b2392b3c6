--- What the official SDKs sign is taken, and what they get wrong refused.
--
-- The TypeScript SDK is the real one from npm (gonka-openai 0.2.2, which signs as nodes up to v0.2.5 want it). What
-- the Python and Go ones send is made again here, from recorded signatures and from their rules.
local cjson = require "cjson"
local clients = require "spec.support.clients"
local loop = require "spec.support.loop"
local network = require "spec.support.network"
local peri = require "perilune"
local process = require "spec.support.process"
local router = require "spec.support.router"

local ANSWER = "the moon pulls tides across quiet water while"
local REFUSED = "Unable to validate request against PubKey:"
local VECTORS = assert(peri.json.decode((assert(process.read "spec/vectors/gonka-vectors.json")), { nulls = false }))

local function last_chat(net, name)
  local found
  for _, entry in ipairs(net:ledger(name)) do
    if entry.path == "/v1/chat/completions" then found = entry end
  end
  return found
end

local function endpoint(net, name)
  return { url = ("http://127.0.0.1:%d/v1"):format(net.ports[name]), transferAddress = net.addresses[name] }
end

describe("the official TypeScript SDK", function()
  if not clients.directory() then
    print("skipped: " .. clients.why)
    return
  end
  teardown(process.stop_all)

  local function call(net, fields)
    local made = { client = "gonka", key_file = net.wallets[1] }
    for name, value in pairs(fields) do made[name] = value end
    return made
  end

  local function run(net, calls)
    for i, fields in ipairs(calls) do calls[i] = call(net, fields) end
    return clients.run("-", calls)
  end

  it("finds the hosts by source URL and is answered by each, whole and streamed", loop.body(function()
    local net = network.start { hosts = 3 }
    net:steer("chain", { params = { scheme = "raw_body" } })
    local calls = {}
    for pick = 0, 2 do
      calls[#calls + 1] = { source = net.url, pick = pick }
      calls[#calls + 1] = { source = net.url .. "/", pick = pick, stream = true }
    end
    for i, seen in ipairs(run(net, calls)) do
      assert.is_true(seen.ok, cjson.encode(seen))
      assert.same({ ANSWER, "stop" }, { seen.text, seen.finish })
      assert.equal(3, #seen.endpoints)
      assert.equal(endpoint(net, "h" .. (i + 1) // 2).url, seen.selected)
    end
    for i = 1, 3 do
      assert.equal(2, net:answered("h" .. i))
      local headers = last_chat(net, "h" .. i).headers
      assert.equal(net.accounts[1], headers["x-requester-address"])
      assert.equal(88, #headers.authorization)
      assert.is_nil(headers["x-transfer-address"])
    end
  end))

  it("is refused by nodes since v0.2.6, which want the body's hash signed", loop.body(function()
    local net = network.start { hosts = 1 }
    local seen = run(net, { { source = net.url }, { source = net.url, stream = true } })
    for _, one in ipairs(seen) do
      assert.is_false(one.ok)
      assert.equal(401, one.error.status)
      assert.matches(REFUSED .. "invalid signature", one.error.message, 1, true)
    end
  end))

  it("is refused when it calls one host with the address of another", loop.body(function()
    local net = network.start { hosts = 2 }
    net:steer("chain", { params = { scheme = "raw_body" } })
    local wrong = { url = endpoint(net, "h1").url, transferAddress = net.addresses.h2 }
    local seen = run(net, { { endpoints = { wrong } }, { endpoints = { endpoint(net, "h1") } } })
    assert.equal(401, seen[1].error.status)
    assert.is_true(seen[2].ok)
  end))

  it("finds the network's proofs right, and forged ones wrong", loop.body(function()
    local net = network.start { hosts = 2 }
    local function resolve(more)
      net:steer("chain", more)
      return run(net, { { source = net.url, verify = true, only_select = true, pick = 0 } })[1]
    end
    local seen = resolve {}
    assert.is_true(seen.ok, cjson.encode(seen))
    assert.equal(2, #seen.endpoints)
    for lie, why in pairs {
      record = "IAVL proof value mismatch", proof = "simple proof does not match app hash",
      block = "simple proof does not match app hash",
    } do
      seen = resolve { lie = lie }
      assert.is_false(seen.ok, lie)
      assert.equal(why, seen.error.message)
    end
    assert.is_true(resolve({ lie = "weights" }).ok) -- it never compares what it uses with what is proven
  end))

  it("reads proofs only in the shape of its own time", loop.body(function()
    local net = network.start { hosts = 1 }
    for shape, why in pairs { strings = "invalid hex", golden = "invalid hex", early = "missing app_hash" } do
      net:steer("chain", { shape = shape })
      local seen = run(net, {
        { source = net.url, verify = true, only_select = true }, { source = net.url, only_select = true },
      })
      assert.same({ false, why }, { seen[1].ok, seen[1].error and seen[1].error.message })
      assert.is_true(seen[2].ok) -- without proofs each shape will do
      assert.equal(endpoint(net, "h1").url, seen[2].selected)
    end
  end))

  it("sends a quarter of the key with requests that have no body; nodes do not look at it", loop.body(function()
    local net = network.start { hosts = 1 }
    local seen = run(net, { { source = net.url, models = true } })[1]
    assert.is_true(seen.ok, cjson.encode(seen))
    assert.same({ "m" }, seen.models)
    local entries = net:ledger "h1"
    local told = entries[#entries].headers.authorization
    local key = assert(process.read(net.wallets[1])):gsub("%s", "")
    assert.equal("ECDSA_SIG_EMPTY_" .. peri.encode.base64(key:sub(1, 16)), told)
    local answer = router.at(net.ports.h1):ask("POST", "/v1/chat/completions",
      '{"model":"m","messages":[{"role":"user","content":"hi"}]}',
      { authorization = told, ["x-requester-address"] = net.accounts[1], ["x-timestamp"] = "1" })
    assert.same({ 401, { error = REFUSED .. "illegal base64 data at input byte 5" } }, { answer.status, answer.json })
  end))

  it("invents endpoints when its class is given a source URL", loop.body(function()
    local net = network.start { hosts = 1 }
    local seen = run(net, { { source_option = net.url, only_select = true } })[1]
    assert.is_true(seen.ok)
    assert.matches("gonka%.testnet%.example%.com$", seen.selected)
  end))

  it("works through the router, which signs for itself", router.test(function(start)
    local net = network.start { hosts = 2, wallets = 2 }
    local r = start({ providers = { net:provider { private_key = net:secret(1) } }, policies = { "network.lua" } },
      { ["network.lua"] = network.policy })
    net:await(r, "the hosts", function(seen) return seen.count == 2 end)
    local through = { { url = r.url, transferAddress = net.addresses.h1 } }
    local other = net.wallets[2]
    local seen = run(net, {
      { endpoints = through, key_file = other }, { endpoints = through, key_file = other, stream = true },
      { endpoints = through, key_file = other, models = true },
    })
    for _, one in ipairs(seen) do assert.is_true(one.ok, cjson.encode(one)) end
    assert.same({ ANSWER, ANSWER }, { seen[1].text, seen[2].text })
    assert.same({ "m" }, seen[3].models)
    local answered = 0
    for name in pairs(net.ports) do
      answered = answered + net:answered(name)
      for _, entry in ipairs(net:ledger(name)) do
        if entry.payer then assert.equal(net.accounts[1], entry.payer) end
      end
    end
    assert.equal(2, answered)
  end))
end)

describe("a router before Gonka hosts", function()
  teardown(process.stop_all)

  it("lets none of a client's own signing headers through, to hosts or to others", router.test(function(start)
    local net = network.start { hosts = 1, wallets = 2 }
    local plain = require("spec.support.provider").start()
    local own = assert(peri.gonka.sign {
      key = "file:" .. net.wallets[2], body = "{}", node = net.addresses.h1, timestamp = peri.clock.wall_ns(),
    })
    local SENT = {
      authorization = own.authorization, ["x-requester-address"] = net.accounts[2],
      ["x-timestamp"] = own["x-timestamp"],
      ["x-transfer-address"] = net.addresses.h1, ["x-ta-signature"] = own.authorization,
      ["x-inference-id"] = "another", ["x-seed"] = "7", ["x-prompt-hash"] = ("0"):rep(64),
      ["x-validator-address"] = net.addresses.h1, ["x-epoch-id"] = "1",
    }
    local function ask(r)
      for _, is_stream in ipairs { false, true } do
        local answer = r:ask("POST", "/v1/chat/completions",
          cjson.encode { model = "m", stream = is_stream, messages = { { role = "user", content = "hi" } } }, SENT)
        assert.equal(200, answer.status, answer.body)
      end
    end
    local r = start({ providers = { net:provider { private_key = net:secret(1) } }, policies = { "network.lua" } },
      { ["network.lua"] = network.policy })
    net:await(r, "the hosts", function(seen) return seen.count == 1 end)
    ask(r)
    assert.equal(2, net:answered "h1")
    local OURS = { authorization = true, ["x-requester-address"] = true, ["x-timestamp"] = true }
    local headers = last_chat(net, "h1").headers
    assert.equal(net.accounts[1], headers["x-requester-address"])
    for name, value in pairs(SENT) do
      assert.is_true(headers[name] == nil or OURS[name] and headers[name] ~= value, name .. " reached the host")
      assert.is_nil(OURS[name] and headers[name]:find(", ", 1, true), name .. " stands twice")
    end
    ask(start { providers = { router.provider("plain", plain) } })
    headers = plain.requests[#plain.requests].headers
    for name, value in pairs(SENT) do
      assert.is_true(headers[name] == nil or name == "authorization" and headers[name] ~= value, name)
    end
  end))
end)

describe("recorded signatures of the SDKs", function()
  teardown(process.stop_all)

  local MODEL = "Qwen/Qwen3-235B-A22B-Instruct-2507-FP8"
  local NS = 1000000000

  local public = {}
  for _, v in ipairs(VECTORS.address_vectors) do public[v.private_key_hex] = v.public_key_compressed_hex end

  local function bytes_of(hex) return (assert(peri.encode.unhex(hex))) end

  local function is_chat(v)
    local body = v.payload_hex and #v.payload_hex < 20000 and peri.json.decode(bytes_of(v.payload_hex))
    return type(body) == "table" and body.messages ~= nil and #body.messages > 0
  end

  -- The chain's clock stands at the vector's time, and the payer has an account.
  local function prepare(net, v, scheme)
    local stamp = math.tointeger(tonumber(v.timestamp_ns))
    local payload = v.payload_hex and bytes_of(v.payload_hex) or v.payload_utf8
    net:steer("account", { public_key = public[v.private_key_hex] })
    net:steer("chain", {
      clock_offset = (stamp - peri.clock.wall_ns()) / NS, params = { scheme = scheme or "hashed" },
    })
    local address = assert(peri.gonka.address(bytes_of(public[v.private_key_hex])))
    return payload, {
      ["x-requester-address"] = address, ["x-timestamp"] = v.timestamp_ns, ["x-transfer-address"] = v.transfer_address,
    }
  end

  local function send(net, v, signature, scheme)
    local body, headers = prepare(net, v, scheme)
    headers.authorization = signature
    local answer = assert(router.at(net.ports.h1):ask("POST", "/v1/chat/completions", body, headers))
    return answer.status, answer.json and answer.json.error
  end

  local function models()
    local list = { MODEL }
    for _, v in ipairs(VECTORS.signature_vectors) do
      if is_chat(v) then list[#list + 1] = peri.json.decode(bytes_of(v.payload_hex)).model end
    end
    return list
  end

  it("are taken, each once", loop.body(function()
    local net = network.start { hosts = 1, models = models() }
    local count = 0
    for _, v in ipairs(VECTORS.signature_vectors) do
      if is_chat(v) then
        count = count + 1
        assert.same({ v.name, 200 }, { v.name, (send(net, v, v.signature_base64)) })
        assert.same({ 400, "AuthKey has already been used for a transfer request" },
          { send(net, v, v.signature_base64) })
      end
    end
    assert(count >= 8, count .. " vectors with a chat")
  end))

  it("are refused when anything about them is wrong", loop.body(function()
    local net = network.start { hosts = 1, models = models() }
    local by_name = {}
    for _, v in ipairs(VECTORS.signature_vectors) do by_name[v.name] = v end
    for _, v in ipairs(VECTORS.negative_signature_vectors) do
      local base = assert(by_name[v.base], v.base)
      local status, text = send(net, base, v.signature_base64)
      assert.same({ v.name, 401 }, { v.name, status })
      assert.equal(REFUSED, text:sub(1, #REFUSED))
    end
  end))

  it("of the Go SDK are short once in 128 and then refused", loop.body(function()
    local net = network.start { hosts = 1, models = models() }
    local count = 0
    for _, v in ipairs(VECTORS.signature_vectors) do
      local raw = peri.encode.unbase64(v.signature_base64)
      local r, s = raw:sub(1, 32):gsub("^\0+", ""), raw:sub(33):gsub("^\0+", "")
      if is_chat(v) and #r + #s < 64 then
        count = count + 1
        assert.same({ 401, REFUSED .. "invalid signature" }, { send(net, v, peri.encode.base64(r .. s)) })
        assert.equal(200, (send(net, v, v.signature_base64)))
      end
    end
    assert.equal(2, count)
  end))

  it("of older SDKs are taken by nodes of their time alone", loop.body(function()
    local net = network.start { hosts = 1, models = models() }
    local SCHEMES = { "raw_body", "body_only" }
    for i, v in ipairs(VECTORS.legacy_signature_vectors) do
      v.transfer_address = v.transfer_address or VECTORS.legacy_signature_vectors[1].transfer_address
      v.timestamp_ns = v.timestamp_ns or VECTORS.legacy_signature_vectors[1].timestamp_ns
      for _, scheme in ipairs { "hashed", "raw_body", "body_only" } do
        local status = send(net, v, v.signature_base64, scheme)
        assert.same({ v.name, scheme, scheme == SCHEMES[i] and 200 or 401 }, { v.name, scheme, status })
      end
    end
  end))

  it("of the Python SDK stand over the bytes it writes, spaces and all", loop.body(function()
    local net = network.start { hosts = 1 }
    local body = '{"messages": [{"role": "user", "content": "caf\\u00e9"}], "model": "m", "stream": false}'
    local headers = assert(peri.gonka.sign {
      key = "file:" .. net.wallets[1], body = body, node = net.addresses.h1, timestamp = peri.clock.wall_ns(),
    })
    local host = router.at(net.ports.h1)
    assert.equal(401, host:ask("POST", "/v1/chat/completions", body:gsub(": ", ":"), headers).status)
    assert.equal(200, host:ask("POST", "/v1/chat/completions", body, headers).status)
    local empty = assert(peri.gonka.sign {
      key = "file:" .. net.wallets[1], body = "", node = net.addresses.h1, timestamp = peri.clock.wall_ns(),
    })
    assert.equal(200, host:ask("GET", "/v1/models", nil, empty).status) -- it signs reads, too
  end))

  it("of the Go SDK with an invented address belong to no account", loop.body(function()
    local net = network.start { hosts = 1 }
    local invented = "gonka1" .. ("10af8dc1f63fb90cfa39943a5afbf262cd84f249"):sub(1, 40)
    local body = '{"model":"m","messages":[{"role":"user","content":"hi"}]}'
    local headers = assert(peri.gonka.sign {
      key = "file:" .. net.wallets[1], body = body, node = net.addresses.h1, timestamp = peri.clock.wall_ns(),
    })
    headers["x-requester-address"] = invented
    local answer = router.at(net.ports.h1):ask("POST", "/v1/chat/completions", body, headers)
    assert.equal(500, answer.status)
    assert.equal(("rpc error: code = NotFound desc = account %s not found: key not found"):format(invented),
      answer.json.error)
  end))
end)
