--- regex: is a pattern one that RE2 compiles? The gateway compiles every `pattern` with Go's regexp package.
-- Reads the syntax only (https://github.com/google/re2/wiki/Syntax); nothing is matched here.
local regex = { max_repeat = 1000 }

local function fail(what, shown)
  error({ ("error parsing regexp: %s: `%s`"):format(what, shown) }, 0)
end

-- Letters that may follow a backslash; punctuation always may.
local class_escapes = { d = true, D = true, s = true, S = true, w = true, W = true }
local plain_escapes = { a = true, f = true, n = true, r = true, t = true, v = true }
local anchor_escapes = { A = true, z = true, b = true, B = true }

-- Unicode's categories and scripts, by the names that Go knows.
local properties = {}
for name in ([[Any C Cc Cf Co Cs L Ll Lm Lo Lt Lu M Mc Me Mn N Nd Nl No P Pc Pd Pe Pf Pi Po Ps S Sc Sk Sm So Z Zl Zp Zs
  Adlam Ahom Anatolian_Hieroglyphs Arabic Armenian Avestan Balinese Bamum Bassa_Vah Batak Bengali Bhaiksuki Bopomofo
  Brahmi Braille Buginese Buhid Canadian_Aboriginal Carian Caucasian_Albanian Chakma Cham Cherokee Chorasmian Common
  Coptic Cuneiform Cypriot Cypro_Minoan Cyrillic Deseret Devanagari Dives_Akuru Dogra Duployan Egyptian_Hieroglyphs
  Elbasan Elymaic Ethiopic Georgian Glagolitic Gothic Grantha Greek Gujarati Gunjala_Gondi Gurmukhi Han Hangul
  Hanifi_Rohingya Hanunoo Hatran Hebrew Hiragana Imperial_Aramaic Inherited Inscriptional_Pahlavi
  Inscriptional_Parthian Javanese Kaithi Kannada Katakana Kawi Kayah_Li Kharoshthi Khitan_Small_Script Khmer Khojki
  Khudawadi Lao Latin Lepcha Limbu Linear_A Linear_B Lisu Lycian Lydian Mahajani Makasar Malayalam Mandaic Manichaean
  Marchen Masaram_Gondi Medefaidrin Meetei_Mayek Mende_Kikakui Meroitic_Cursive Meroitic_Hieroglyphs Miao Modi
  Mongolian Mro Multani Myanmar Nabataean Nag_Mundari Nandinagari New_Tai_Lue Newa Nko Nushu Nyiakeng_Puachue_Hmong
  Ogham Ol_Chiki Old_Hungarian Old_Italic Old_North_Arabian Old_Permic Old_Persian Old_Sogdian Old_South_Arabian
  Old_Turkic Old_Uyghur Oriya Osage Osmanya Pahawh_Hmong Palmyrene Pau_Cin_Hau Phags_Pa Phoenician Psalter_Pahlavi
  Rejang Runic Samaritan Saurashtra Sharada Shavian Siddham SignWriting Sinhala Sogdian Sora_Sompeng Soyombo Sundanese
  Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le Tai_Tham Tai_Viet Takri Tamil Tangsa Tangut Telugu Thaana Thai Tibetan
  Tifinagh Tirhuta Toto Ugaritic Vai Vithkuqi Wancho Warang_Citi Yezidi Yi Zanabazar_Square]]):gmatch "%S+" do
  properties[name] = true
end

local function property_end(p, at)
  local shown, name = p:match("^(\\[pP]{%^?([%w_]*)})", at)
  if not shown then shown, name = p:match("^(\\[pP](%w))", at) end
  if not properties[name] then fail("invalid character class range", p:match("^\\[pP]{?[^}]*}?", at)) end
  return at + #shown
end

--- The end of an escape at `at`; is it a class that can not bound a range?
local function escape_end(p, at, in_class)
  local c = p:sub(at + 1, at + 1)
  if c == "" then fail("trailing backslash at end of expression", "") end
  if c == "p" or c == "P" then return property_end(p, at), true end
  if class_escapes[c] then return at + 2, true end
  if plain_escapes[c] or (not in_class and anchor_escapes[c]) then return at + 2, false end
  if c == "Q" and not in_class then
    local _, stop = p:find("\\E", at, true)
    return (stop or #p) + 1, false
  end
  if c == "x" then
    local hex = p:match("^\\x%x%x", at) or p:match("^\\x{%x+}", at)
    if not hex or (tonumber(hex:match("{(%x+)}") or "0", 16) or 0) > 0x10ffff then
      fail("invalid escape sequence", p:match("^\\x{?%x?", at))
    end
    return at + #hex, false
  end
  if c == "0" then return at + #p:match("^\\0[0-7]?[0-7]?", at), false end
  if c:find("[1-7]") and p:find("^[0-7]", at + 2) then return at + #p:match("^\\[0-7][0-7][0-7]?", at), false end
  if c:find("%w") or c:byte() >= 0x80 then fail("invalid escape sequence", "\\" .. c) end
  return at + 2, false
end

local posix = {}
for name in ("alnum alpha ascii blank cntrl digit graph lower print punct space upper word xdigit"):gmatch("%a+") do
  posix[name] = true
end

local function character_end(p, at)
  return at + #(p:match("^[\xc2-\xf4][\x80-\xbf]+", at) or p:sub(at, at))
end

local function class_item(p, at)
  if p:find("^\\", at) then return escape_end(p, at, true) end
  return character_end(p, at), false
end

local function class_end(p, start)
  local at = p:find("^%^", start + 1) and start + 2 or start + 1
  local is_first = true
  while true do
    if at > #p then fail("missing closing ]", p:sub(start)) end
    if p:find("^%]", at) and not is_first then return at + 1 end
    local name = p:match("^%[:%^?(%a*):%]", at)
    if name then
      if not posix[name] then fail("invalid character class range", p:match("^%[:[^]]*%]", at)) end
      at = at + #p:match("^%[:[^]]*%]", at)
    else
      local stop, is_set = class_item(p, at)
      if not is_set and p:find("^%-[^%]]", stop) and stop < #p then
        local high, ends_set = class_item(p, stop + 1)
        if ends_set then fail("invalid escape sequence", p:sub(stop + 1, high - 1)) end
        local from, to = p:sub(at, stop - 1), p:sub(stop + 1, high - 1)
        if not (from .. to):find("\\", 1, true) and from > to then
          fail("invalid character class range", from .. "-" .. to)
        end
        stop = high
      end
      at = stop
    end
    is_first = false
  end
end

--- What stands at `at` repeats what is before it: its end and how often, else nil. A brace that is no count is a
--- character. Of *, + and ? how often does not matter.
local function repeat_end(p, at)
  local c = p:sub(at, at)
  if c == "*" or c == "+" or c == "?" then return at + 1, 0 end
  if c ~= "{" then return nil end
  local shown, low, comma, high = p:match("^({(%d+)(,?)(%d*)})", at)
  if not shown then return nil end
  low, high = tonumber(low), tonumber(high)
  if low > regex.max_repeat or (comma ~= "" and high and (high > regex.max_repeat or high < low)) then
    fail("invalid repeat count", shown)
  end
  return at + #shown, comma ~= "" and high or low
end

-- Counts within counts: is what they come to within the limit? An atom is nil, or { times, atoms within }.
local function is_within(atom, left)
  local times = atom.times or 0
  if times > left then return false end
  if times > 0 then left = left // times end
  for _, inner in ipairs(atom) do
    if not is_within(inner, left) then return false end
  end
  return true
end

local function group_start(p, at)
  if not p:find("^%(%?", at) then return at + 1, true end
  local named = p:match("^%(%?P?<[%w_]+>", at)
  if named then return at + #named, true end
  if p:find("^%(%?P?<[^=!]", at) then fail("invalid named capture", p:match("^%(%?P?<[^>]*>?", at)) end
  local flags = p:match("^%(%?[imsU]*%-?[imsU]*[:)]", at)
  if not flags or flags == "(?)" or flags:find("-[:)]") then
    fail("invalid or unsupported Perl syntax", p:match("^%(%?<?P?.?", at))
  end
  return at + #flags, flags:sub(-1) == ":"
end

local function scan(p)
  local at, open = 1, {}
  local can_repeat, repeated_from = false, nil
  local atoms, last = {}, nil -- those with counts in the group that is open; the one that could be repeated
  while at <= #p do
    local c = p:sub(at, at)
    local stop, times = repeat_end(p, at)
    if stop then
      if repeated_from then fail("invalid nested repetition operator", p:sub(repeated_from, stop - 1)) end
      if not can_repeat then fail("missing argument to repetition operator", p:sub(at, stop - 1)) end
      if times > 0 then
        if last then atoms[#atoms] = nil end
        last = { times = times, last }
        atoms[#atoms + 1] = last
        if times > 1 and not is_within(last, regex.max_repeat) then
          fail("invalid repeat count", p:sub(at, stop - 1))
        end
      end
      repeated_from = at
      if p:find("^%?", stop) then stop = stop + 1 end -- lazy
    elseif p:find("^\\Q\\E", at) then
      stop = at + 4 -- nothing: it can not be repeated, and what is before it still can
    else
      repeated_from, can_repeat, last = nil, true, nil
      if c == "(" then
        local is_group
        stop, is_group = group_start(p, at)
        if is_group then open[#open + 1], atoms = atoms, {} end
        can_repeat = false
      elseif c == ")" then
        if #open == 0 then fail("unexpected )", p) end
        local outer = open[#open]
        open[#open] = nil
        if #atoms > 0 then
          last = atoms
          outer[#outer + 1] = last
        end
        atoms = outer
      elseif c == "[" then
        stop = class_end(p, at)
      elseif c == "\\" then
        stop = escape_end(p, at, false)
      elseif c == "|" then
        can_repeat = false
      end
    end
    at = stop or character_end(p, at)
  end
  if #open > 0 then fail("missing closing )", p) end
end

--- nil when it compiles, else Go's sentence.
---@param pattern string
---@return string?
function regex.fault(pattern)
  if not utf8.len(pattern) then return "error parsing regexp: invalid UTF-8: `" .. pattern .. "`" end
  if not pattern:find("[\\%(%)%[{*+?]") then return nil end -- nothing but characters: by far the most frequent
  local ok, why = pcall(scan, pattern)
  if ok then return nil end
  if type(why) ~= "table" then error(why, 0) end
  return why[1]
end

return regex
