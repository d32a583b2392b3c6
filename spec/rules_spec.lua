--- Parts of the gateway's rules that the recorded cases only touch: expressions, sizes, broken JSON, budgets, schemas.
local body = require "perilune.gonka.rules.body"
local json = require("perilune").json
local regex = require "perilune.gonka.rules.regex"
local repair_schema = require "perilune.gonka.rules.repair_schema"
local schema = require "perilune.gonka.rules.schema"
local thinking = require "perilune.gonka.rules.thinking"
local words = require "perilune.gonka.rules.words"

describe("regex.fault", function()
  local good = { "a+?b", "(?i)abc", "\\p{L}+", "\\x{1F600}", "[[:alpha:]_-]", "\\/\\-\\_", "(?P<n>x)", "(?<n>x)",
    "(a{500}){2}", "((a{10}){10}){10}", "(a{1000}){1}", "(a{1000})*", "(a{600}b{600}){1}",
    "\\p{Greek}\\P{^Lu}\\pN", "a\\Q\\E*", "[\\d-z]", "^*", "a{,5}", "a{2,}", "(a|b|)*", "[]a]", "[^]a]", "\\Qa+b\\E",
    "x{1000}", "(?s:.)", "[a-z\\d-]", "é+" }
  for _, pattern in ipairs(good) do
    it("takes " .. pattern, function() assert.is_nil(regex.fault(pattern)) end)
  end

  local bad = {
    ["(?=a)"] = "invalid or unsupported Perl syntax: `(?=`", ["(?<=a)b"] = "invalid or unsupported Perl syntax: `(?<=`",
    ["(?!a)"] = "invalid or unsupported Perl syntax: `(?!`", ["a**"] = "invalid nested repetition operator: `**`",
    ["a{2}{3}"] = "invalid nested repetition operator: `{2}{3}`", ["a{1001}"] = "invalid repeat count: `{1001}`",
    ["*a"] = "missing argument to repetition operator: `*`", ["(a"] = "missing closing ): `(a`",
    ["a)"] = "unexpected ): `a)`", ["[a-"] = "missing closing ]: `[a-`",
    ["[z-a]"] = "invalid character class range: `z-a`",
    ["\\u0041"] = "invalid escape sequence: `\\u`", ["\\Z"] = "invalid escape sequence: `\\Z`",
    ["(a)\\1"] = "invalid escape sequence: `\\1`", ["a\\"] = "trailing backslash at end of expression: ``",
    ["(a{500}){3}"] = "invalid repeat count: `{3}`", ["((a{10}){10}){11}"] = "invalid repeat count: `{11}`",
    ["(?:x|y{2})(a|(?:b{501})+){2}"] = "invalid repeat count: `{2}`", ["\\C"] = "invalid escape sequence: `\\C`",
    ["\\p{Foo}"] = "invalid character class range: `\\p{Foo}`", ["\\pX"] = "invalid character class range: `\\pX`",
    ["[a-\\d]"] = "invalid escape sequence: `\\d`", ["\\Q\\E*"] = "missing argument to repetition operator: `*`",
    ["a++"] = "invalid nested repetition operator: `++`",
  }
  for pattern, sentence in pairs(bad) do
    it("refuses " .. pattern, function()
      assert.equal("error parsing regexp: " .. sentence, regex.fault(pattern))
    end)
  end
end)

describe("context.run", function()
  local context = require "perilune.gonka.rules.context"

  local function trace(text, rules, options)
    local c, log = context.new(json.document(text), options), {}
    c.log = log
    local message, field, status = c:run(rules)
    return table.concat(log, " "), message, field, status
  end

  local function says(name, act)
    return function(c)
      c.log[#c.log + 1] = name
      if act then return act(c) end
    end
  end

  it("wakes rules by parameter, group, null, unknown name and trait, in their order", function()
    local rules = { { "a", "seed", says "seed" }, { "b", false, says "always" }, { "c", false, says "counts", "count" },
      { "d", false, says "null", "null" }, { "e", false, says "unknown", "unknown" }, { "f", "tags", says "tags" },
      { "g", false, says "budget", "-budget" } }
    assert.equal("always", (trace("{}", rules)))
    assert.equal("seed always counts", (trace('{"seed":1}', rules)))
    assert.equal("seed always counts null", (trace('{"seed":null}', rules)))
    assert.equal("always unknown tags", (trace('{"tags":1}', rules)))
    assert.equal("always unknown", (trace('{"other":1}', rules)))
    assert.equal("always budget", (trace("{}", rules, { model = "moonshotai/Kimi-K2.6" })))
    assert.equal("always counts", (trace('{"seed":1}', rules, { off = { a = true } })))
  end)

  it("wakes later rules for what a rule sets, and none for what it takes away", function()
    local rules = { { "a", "seed", says "seed" },
      { "b", "n", says("n", function(c) c:set("seed", 1) c:set("user", json.null) c:set("n", nil) end) },
      { "c", "n", says "n again" }, { "d", "user", says "user" }, { "e", false, says "null", "null" } }
    assert.equal("n user null", (trace('{"n":1}', rules)))
  end)

  it("ends at the first sentence", function()
    local rules = { { "a", "seed", says("seed", function() return "no", "seed" end) }, { "b", false, says "always" } }
    local log, message, field, status = trace('{"seed":1}', rules)
    assert.same({ "seed", "no", "seed", 400 }, { log, message, field, status })
  end)
end)

describe("schema.encoded_bytes", function()
  it("counts what Go would write", function()
    local texts = {
      ['{ "a" : [1, 2.50] }'] = '{"a":[1,2.50]}', ['"<&>"'] = '"\\u003c\\u0026\\u003e"', ['"\\u003c"'] = '"\\u003c"',
      ['"\\u00e9\\/"'] = '"é/"', ['"\\ud83d\\ude00"'] = '"😀"', ['"\\\\\\"\\n"'] = '"\\\\\\"\\n"',
      ['"\u{2028}"'] = '"\\u2028"', ['"\\u0001"'] = '"\\u0001"', ['"a  b"'] = '"a  b"',
    }
    for text, written in pairs(texts) do assert.equal(#written, schema.encoded_bytes(text), text) end
  end)
end)

describe("body.read", function()
  local complaints = {
    ['{"a":}'] = "invalid character '}' looking for beginning of value",
    ['{a:1}'] = "invalid character 'a' looking for beginning of object key string",
    ['{"a" 1}'] = "invalid character '1' after object key",
    ['{"a":1 "b"}'] = "invalid character '\"' after object key:value pair",
    ['[1 2]'] = "invalid character '2' after array element", ['{"a":tru}'] = "invalid character '}' in literal true "
      .. "(expecting 'e')", ['{"a":1.}'] = "invalid character '}' after decimal point in numeric literal",
    ['{"a":"\\x"}'] = "invalid character 'x' in string escape code", ['{"a":"'] = "unexpected EOF",
    ["\u{feff}{}"] = "invalid character 'ï' looking for beginning of value",
  }
  for text, sentence in pairs(complaints) do
    it("complains of " .. text .. " as Go does", function()
      local _, message, field, status = body.read(text)
      assert.equal("parse request: " .. sentence, message)
      assert.same({ "$body", 400 }, { field, status })
    end)
  end

  it("replaces bytes that are no UTF-8, as Go does", function()
    assert.equal("a\u{fffd}\u{fffd}é\u{fffd}", body.whole_characters "a\xff\xc3é\xe2")
    assert.equal("é", body.whole_characters "é")
    assert.equal("x\u{fffd}", body.read('{"user":"x\xff"}').user)
    assert.equal("\u{fffd}", body.read('{"user":"\xe2"} trailing \xff').user)
  end)

  it("makes whole characters of halves of surrogate pairs, and of nothing else", function()
    assert.equal('"\u{fffd}x"', body.whole_surrogates '"\\ud800x"')
    for _, text in ipairs { '"\\ud83d\\ude00"', '"\\\\ud800"', '"a"' } do
      assert.equal(text, body.whole_surrogates(text))
    end
  end)
end)

describe("thinking.budget_for", function()
  it("follows the network's table", function()
    local rows = { { 255, 0, 0, 0, 0 }, { 256, 128, 50, 192, 192 }, { 300, 150, 50, 236, 236 },
      { 1000, 500, 50, 936, 936 }, { 4096, 2048, 50, 1000, 4032 }, { 200000, 96000, 50, 1000, 96000 } }
    for _, row in ipairs(rows) do
      local got = { row[1], thinking.budget_for(row[1]) }
      for i, wanted in ipairs { 50, 1000, 100000 } do got[i + 2] = thinking.budget_for(row[1], wanted) end
      assert.same(row, got)
    end
  end)
end)

describe("words", function()
  it("are quoted as Go does", function()
    local rows = { ["a\"\\\n\1"] = [["a\"\\\n\x01"]], ["é…😀"] = '"é…😀"', ["\u{200b}"] = [["\u200b"]],
      ["\u{a0}\u{3000}"] = [["\u00a0\u3000"]], ["\u{e0001}"] = [["\U000e0001"]], ["\u{fffd}"] = '"\u{fffd}"' }
    for text, quoted in pairs(rows) do assert.equal(quoted, words.quote(text)) end
  end)

  it("lose the white space around them, also that beyond ASCII", function()
    for _, text in ipairs { "a b", " a b\n", "\u{3000}\u{2003}a b\u{a0} " } do assert.equal("a b", words.trim(text)) end
    assert.equal("", words.trim " \u{3000}")
    assert.equal("é", words.trim "é")
  end)

  it("are numbers where Go's ParseFloat takes them", function()
    local rows = { ["1e2"] = 100, [" -0.5 "] = -0.5, ["+1"] = 1, [".5"] = 0.5, ["5."] = 5, ["0x1p4"] = 16,
      ["-inf"] = -math.huge, ["Infinity"] = math.huge }
    for text, number in pairs(rows) do assert.equal(number, words.parse_number(text), text) end
    for _, text in ipairs { "", "abc", "1e999", "0x10", "1_0", "--1", "1e", ".", "1 2", "0,5" } do
      assert.is_nil(words.parse_number(text), text)
    end
    local nan = words.parse_number "NaN"
    assert.is_true(nan ~= nan)
    assert.is_nil(words.to_float "NaN")
  end)
end)

describe("words.is_blank", function()
  it("knows the white space of Go", function()
    for _, text in ipairs { "", " \t\n", "\u{a0}\u{3000} \u{2003}" } do assert.is_true(words.is_blank(text)) end
    for _, text in ipairs { "a", " é", "\u{200b}" } do assert.is_false(words.is_blank(text)) end
  end)
end)

describe("repair_schema", function()
  local function repaired(text, may_prune)
    local doc = json.document(text)
    repair_schema.run(doc, schema.limits.tools, 28, may_prune)
    return doc:text()
  end

  it("leaves a schema that is fine byte for byte", function()
    local text = '{ "type":"object", "properties":{"a":{"enum":[1.0]}} }'
    assert.equal(text, repaired(text, true))
  end)

  it("changes no more than it must", function()
    assert.equal('{ "z":1.0,"properties" : {"a":{"type":"string","x":[ ]}}}',
      repaired('{ "z":1.0,"properties" : {"a":{"type":"str","x":[ ]}}}', true))
  end)

  it("inlines references with what stands beside them, also through a property named like a keyword", function()
    assert.equal('{"properties":{"$ref":{"type":"string","description":"d"}}}', repaired(
      '{"properties":{"$ref":{"$ref":"#/$defs/S","description":"d"}},"$defs":{"S":{"type":"string"}}}', true))
  end)

  it("ends a schema that refers to itself, and one that would unfold without end", function()
    assert.equal('{"type":"object","properties":{"next":{"type":"object"}}}',
      repaired('{"type":"object","properties":{"next":{"$ref":"#"}}}', true))
    local defs = {}
    for i = 1, 30 do
      defs[i] = ('"d%d":{"anyOf":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%d"}]}'):format(i, i + 1, i + 1)
    end
    local text = repaired('{"$ref":"#/$defs/d1","$defs":{' .. table.concat(defs, ",") .. "}}", true)
    assert.is_nil(schema.fault(json.decode(text), text, schema.limits.tools))
  end)

  it("spells patterns as RE2 does", function()
    assert.equal('{"pattern":"[\\\\x{4e00}-\\\\x{9fff}]"}', repaired('{"pattern":"[\\\\u4e00-\\\\u9fff]"}', true))
  end)

  it("simplifies what is too large for a tool, never what binds an answer", function()
    local parts = {}
    for i = 1, 300 do parts[i] = ('"p%d":{"type":"string"}'):format(i) end
    local text = '{"type":"object","properties":{' .. table.concat(parts, ",") .. "}}"
    local pruned = repaired(text, true)
    assert.is_nil(schema.fault(json.decode(pruned), pruned, schema.limits.tools))
    assert.equal(text, repaired(text, false))
  end)
end)
