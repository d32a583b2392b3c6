--- Names and paths as clients write them, and the headers a key may come in.
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

describe("a path", function()
  teardown(process.stop_all)

  it("is the same whatever base URL the client has", router.test(function(start)
    local p = provider.start()
    local r = start { providers = { router.provider("a", p, { models = { "m" } }) } }
    for _, path in ipairs { "/v1/chat/completions", "/v1//chat/completions", "//chat/completions",
      "/chat/completions", "/v1/chat/completions/", "/v1/v1/chat/completions", "/v1/chat/completions?api-version=1" } do
      local answer = r:ask("POST", path, router.chat_body())
      assert.equal(200, answer.status, path)
      assert.equal("Hello there.", answer.json.choices[1].message.content)
    end
    for _, path in ipairs { "/v1/models", "/models", "/v1/models/", "//v1//models" } do
      assert.equal("m", r:ask("GET", path).json.data[1].id, path)
    end
    for _, request in ipairs(p.requests) do assert.equal("/v1/chat/completions", request.target) end
  end))

  it("that leads nowhere says the nearest one", router.test(function(start)
    local r = start { providers = { router.provider("a", provider.start()) } }
    local near = {
      ["/v1/chat/completion"] = "/v1/chat/completions", ["/v1/chat/compeltions"] = "/v1/chat/completions",
      ["/completion"] = "/v1/completions", ["/v1/embedding"] = "/v1/embeddings", ["/v1/model"] = "/v1/models",
      ["/heatlh"] = "/health", ["/V1/chat/completions"] = "/v1/chat/completions",
    }
    for path, nearest in pairs(near) do
      local answer = r:ask("POST", path, router.chat_body())
      assert.equal(404, answer.status)
      assert.same({ message = ("there is nothing on '%s'; the nearest path is '%s'"):format(path, nearest),
        type = "invalid_request_error", param = answer.json.error.param, code = "not_found" }, answer.json.error)
    end
    for _, path in ipairs { "/favicon.ico", "/", "/v1/", "/wp-login.php", "/" .. ("x"):rep(8000) } do
      local answer = r:ask("GET", path)
      assert.equal(404, answer.status)
      assert.matches("served are /v1/chat/completions, ", answer.json.error.message)
      assert.is_true(#answer.body < 600)
    end
  end))
end)

describe("a provider's URL", function()
  teardown(process.stop_all)

  it("is taken as people paste it", router.test(function(start)
    local chat, list = provider.chat "Hello", provider.reply(200, '{"object":"list","data":[]}')
    local p = provider.start(function(c, request)
      return (request.target:find "/embeddings" and list or chat)(c, request)
    end)
    local root = p.url:gsub("/v1$", "")
    local rows = {
      ["/v1"] = "/v1/", ["/v1/"] = "/v1/", ["/v1/chat/completions"] = "/v1/", ["/v1/embeddings/"] = "/v1/",
      ["/chat/completions"] = "/", ["/api/v1/completions"] = "/api/v1/",
      ["/openai/deployments/d?api-version=2024-10-21"] = "/openai/deployments/d/",
      ["/openai/deployments/d/chat/completions?api-version=2024-10-21"] = "/openai/deployments/d/",
    }
    local providers = {}
    for path in pairs(rows) do
      providers[#providers + 1] = router.provider("p" .. #providers, root .. path, { models = { "m" .. #providers },
        auth_header = "api-key" })
    end
    local r = start { providers = providers }
    for i, entry in ipairs(providers) do
      p:forget()
      local path, query = entry.url:sub(#root + 1), entry.url:match "%?.*" or ""
      assert.equal(200, r:chat({ model = "m" .. (i - 1) }).status)
      assert.equal(rows[path] .. "chat/completions" .. query, p.requests[1].target)
      assert.equal(entry.key, p.requests[1].headers["api-key"])
      assert.is_nil(p.requests[1].headers.authorization)
      assert.equal(200, r:ask("POST", "/v1/embeddings", ('{"model":"m%d","input":"x"}'):format(i - 1)).status)
      assert.equal(rows[path] .. "embeddings" .. query, p.requests[2].target)
    end
  end))
end)

describe("a model's name in the path", function()
  teardown(process.stop_all)

  local names = { "org/model-1:free", "möd el", "100%", "模型", "a+b", "slash/" }
  it("may be percent-encoded, each byte or none", router.test(function(start)
    local r = start { providers = { router.provider("a", provider.start(), { models = names }) } }
    for _, name in ipairs(names) do
      local needed = name:gsub("[^%w%-._~/:+]", function(c) return ("%%%02X"):format(c:byte()) end)
      local component = name:gsub("[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end)
      local every = name:gsub(".", function(c) return ("%%%02x"):format(c:byte()) end)
      for _, written in ipairs { needed, component, every } do
        for _, base in ipairs { "/v1/models/", "/models/", "//v1//models/" } do
          local answer = r:ask("GET", base .. written)
          assert.equal(200, answer.status, base .. written)
          assert.equal(name, answer.json.id)
        end
      end
      assert.equal(name, r:ask("GET", "/v1/models/" .. component .. "/").json.id)
    end
  end))

  it("that nobody has is not found, however long it is", router.test(function(start)
    local r = start { providers = { router.provider("a", provider.start(), { models = { "m" } }) } }
    for _, name in ipairs { "x", "m%2F", "%FF%FE", ("%6D"):rep(300), "m" .. ("/"):rep(5000), ("m"):rep(257) } do
      local answer = r:ask("GET", "/v1/models/" .. name)
      assert.equal(404, answer.status, name:sub(1, 20))
    end
  end))
end)

describe("a client's key", function()
  teardown(process.stop_all)

  local function start_with_keys(start)
    return start { providers = { router.provider("a", provider.start()) }, keys = { "secret-one", "secret-two" } }
  end

  it("comes as a bearer token, in x-api-key or in api-key", router.test(function(start)
    local r = start_with_keys(start)
    for _, headers in ipairs {
      { authorization = "Bearer secret-one" }, { authorization = "bearer secret-two" },
      { ["x-api-key"] = "secret-two" },
      { ["api-key"] = "secret-one" }, { authorization = "Bearer of-another-service", ["api-key"] = "secret-one" },
      { authorization = "Basic eDp5", ["x-api-key"] = "secret-one" },
    } do
      assert.equal(200, r:chat({}, headers).status)
      assert.equal(200, r:ask("GET", "/v1/models", nil, headers).status)
    end
  end))

  it("that is wrong or missing is answered 401 with a challenge", router.test(function(start)
    local r = start_with_keys(start)
    for _, headers in ipairs { {}, { authorization = "secret-one" }, { ["x-api-key"] = "" }, { ["api-key"] = " " } } do
      local answer = r:chat({}, headers)
      assert.equal(401, answer.status)
      assert.equal('Bearer realm="perilune"', answer.headers["www-authenticate"])
      assert.matches("no API key was given: send 'Authorization: Bearer KEY'", answer.json.error.message)
    end
    for _, headers in ipairs { { ["x-api-key"] = "secret" }, { ["api-key"] = "secret-onee" },
      { authorization = "Bearer Bearer secret-one" } } do
      local answer = r:chat({}, headers)
      assert.equal(401, answer.status)
      assert.equal("the API key is not valid", answer.json.error.message)
    end
  end))

  it("is seen by no policy and no provider", router.test(function(start)
    local p = provider.start()
    local r = start({ keys = { "secret-one" }, policies = { "looks.lua" }, providers = { router.provider("a", p) } }, {
      ["looks.lua"] = [[
        local peri = require "perilune"
        return { request = function(req)
          for _, name in ipairs { "authorization", "x-api-key", "api-key" } do
            if req.headers[name] then peri.log.error("saw", { name = name }) end
          end
        end }]],
    })
    for _, name in ipairs { "x-api-key", "api-key" } do
      assert.equal(200, r:chat({}, { [name] = "secret-one", authorization = "Bearer of-another" }).status)
    end
    assert.same({}, r:log "saw")
    for _, request in ipairs(p.requests) do
      assert.equal("Bearer sk-canary-a", request.headers.authorization)
      assert.is_nil(request.headers["x-api-key"])
      assert.is_nil(request.headers["api-key"])
    end
  end))
end)

describe("the id of a request", function()
  teardown(process.stop_all)

  it("stands under both names that clients look for", router.test(function(start)
    local r = start { providers = { router.provider("a", provider.start(), { models = { "m" } }) } }
    for _, answer in ipairs { r:chat(), r:stream(), r:chat { model = "absent" }, r:ask("GET", "/v1/models"),
      r:ask("GET", "/nowhere") } do
      assert.matches("^req_", answer.headers["x-request-id"])
      assert.equal(answer.headers["x-request-id"], answer.headers["request-id"])
    end
  end))
end)
