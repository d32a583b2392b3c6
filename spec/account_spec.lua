--- Accounts without a router: `perilune keygen`, `address`, `sign`, and what trusted scripts have of them.
local peri = require "perilune"
local cjson = require "cjson"
local process = require "spec.support.process"
local router = require "spec.support.router"

local function read(path) return assert(process.read(path), path) end

-- Output, error text and exit code of the program.
local function run(arguments, environment, input)
  local directory = process.directory()
  local words = {}
  for _, word in ipairs(arguments) do words[#words + 1] = process.quote(word) end
  local command = ("env %s %s %s >%s/out 2>%s/err <%s"):format(environment or "", process.quote(router.program),
    table.concat(words, " "), directory, directory, input or "/dev/null")
  local _, _, code = os.execute(command)
  return read(directory .. "/out"), read(directory .. "/err"), code
end

describe("the command line", function()
  local vectors = cjson.decode((read "spec/vectors/gonka-vectors.json"))
  teardown(process.stop_all)

  it("makes a key that nobody else may read, and never the same file twice", function()
    local path = process.directory() .. "/payer.key"
    local out, err, code = run { "keygen", "--out", path }
    assert.equal(0, code, err)
    assert.matches("^gonka1[0-9a-z]+\n$", out)
    local hex = read(path)
    assert.matches("^%x+\n$", hex)
    assert.equal(65, #hex)
    local stat = assert(io.popen("stat -c %a " .. path))
    assert.equal("600", stat:read "l")
    stat:close()
    assert.is_nil((out .. err):find(hex:sub(1, 64), 1, true))
    local again, why, second = run { "keygen", "--out=" .. path }
    assert.equal("", again)
    assert.matches("is there already", why)
    assert.equal(1, second)
    assert.equal(hex, read(path))
    assert.equal(out, (run { "address", "--key", "file:" .. path }))
  end)

  it("knows the address of every published key", function()
    local count = 0
    for _, vector in ipairs(vectors.address_vectors) do
      local key = vector.private_key or vector.private_key_hex
      if key then
        local out, err, code = run({ "address", "--public" }, "GONKA_PRIVATE_KEY=" .. key)
        assert.equal(0, code, err)
        assert.equal(vector.address, out:match "^(.-)\n")
        count = count + 1
      end
    end
    assert.is_true(count >= 8)
  end)

  it("signs exactly the bytes it is given", function()
    local body = '{"model":"Qwen/Qwen3-235B-A22B-Instruct-2507-FP8","messages":[{"role":"user","content":"Hello!"}]}'
    local path = process.directory() .. "/body"
    local file = assert(io.open(path, "wb"))
    file:write(body)
    file:close()
    local key = "10af8dc1f63fb90cfa39943a5afbf262cd84f24919e7d05653e3b03313e685ce"
    local payer = "gonka1waj8q9g2ekgardafc6plg77rgu2l3vfrg2y9jw"
    local form = "Authorization: %s\nX-Requester-Address: " .. payer .. "\nX-Timestamp: %s\n"
    for _, case in ipairs {
      { "--body=" .. path, nil, "hashed",
        "hraKpRvsl5a/spuC51fC2TYTktjjP8T3uXIN/xg4aT8XXXB85DWcDyUy1XkzYdPBAOcs6nTuwbfDH5FG6RmprA==" },
      { "--body=-", path, "raw_body",
        "H1HO00mo2ZweKC7yEC5TZGgvjv+rk3x91Tf94rdKobh9Lme9gEuJd2NW1wIIM6U/GvguP33SexkgRvkf1IzCJA==" },
    } do
      local out, err, code = run({ "sign", "--node", "gonka10fynmy2npvdvew0vj2288gz8ljfvmjs35lat8n", case[1],
        "--timestamp", "1765000000000000000", "--scheme", case[3] }, "GONKA_PRIVATE_KEY=" .. key, case[2])
      assert.equal(0, code, err)
      assert.equal(form:format(case[4], "1765000000000000000"), out)
    end
  end)

  it("says what is wrong without a byte of a key", function()
    local key = ("ab"):rep(33)
    local out, err, code = run({ "address" }, "GONKA_PRIVATE_KEY=" .. key)
    assert.equal(1, code)
    assert.is_nil((out .. err):find("abab", 1, true))
    assert.equal(2, select(3, run { "sign" }))
    assert.equal(2, select(3, run { "sign", "--node", "gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg7" }))
    for _, stamp in ipairs { " 7", "+5", "-1", "0", "", "1e9", "9223372036854775808" } do
      local node = "gonka10fynmy2npvdvew0vj2288gz8ljfvmjs35lat8n"
      assert.equal(2, select(3, run { "sign", "--node", node, "--timestamp", stamp }), stamp)
    end
    assert.equal(2, select(3, run { "keygen", "--what" }))
    assert.equal(2, select(3, run { "keygen", "--out" }))
    assert.equal(1, select(3, run({ "address" }, "-u GONKA_PRIVATE_KEY")))
  end)
end)

describe("peri.gonka, for trusted scripts", function()
  teardown(process.stop_all)

  it("makes a wallet, signs with it and checks as a node does", function()
    local path = process.directory() .. "/w.key"
    assert.is_true(peri.gonka.keygen(path))
    assert.equal("EINVAL", select(3, peri.gonka.keygen(path)))
    local wallet = assert(peri.gonka.wallet("file:" .. path))
    assert.equal(33, #wallet.public_key)
    assert.equal(wallet.address, peri.gonka.address(wallet.public_key))
    local node, body = "gonka10fynmy2npvdvew0vj2288gz8ljfvmjs35lat8n", '{"a":1}'
    local headers = assert(peri.gonka.sign { key = "file:" .. path, body = body, node = node, timestamp = 12345 })
    assert.equal("12345", headers["x-timestamp"])
    assert.equal(wallet.address, headers["x-requester-address"])
    local request = { authorization = headers.authorization, body = body, timestamp = "12345", node = node,
      public_key = wallet.public_key }
    assert.is_true(peri.gonka.check(request))
    for name, other in pairs { body = body .. " ", timestamp = "12346", node = wallet.address, scheme = "raw_body" } do
      local kept = request[name]
      request[name] = other
      assert.is_false(peri.gonka.check(request), name)
      request[name] = kept
    end
    assert.equal("ENOTFOUND", select(3, peri.gonka.wallet("file:" .. path .. ".none")))
    assert.has_error(function() peri.gonka.check {} end, "'authorization' must be a string, got nil")
  end)

  it("lets simulated validators sign as RFC 8032 has it", function()
    -- RFC 8032 section 7.1, TEST 2
    local unhex, hex = peri.encode.unhex, peri.encode.hex
    local seed = unhex "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
    assert.equal("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
      hex(peri.gonka.validator_public(seed)))
    assert.equal("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c" ..
      "387b2eaeb4302aeeb00d291612bb0c00", hex(peri.gonka.validator_sign(seed, "\x72")))
    assert.has_error(function() peri.gonka.validator_public "short" end)
  end)
end)
