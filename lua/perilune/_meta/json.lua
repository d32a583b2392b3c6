---@meta

--- JSON that keeps its bytes. `req.body` and `peri.json.document(text)` are proxies of a document: read and set their
--- members like those of a table, and only what is set changes in the text; order, white space, number notation,
--- escapes, `[]` and `{}` of everything else stay. Scalars come out as plain Lua values; null is `peri.json.null`.
---
---     req.body.max_tokens = 4096            -- set
---     req.body.tools = nil                  -- take away, with its comma
---     local last = req.body.messages[#req.body.messages].content
---     for name, value in pairs(req.body) do … end   -- in the order of the text
---
--- The body stays in the router's memory; a script pays, in time and budget, for what it reads. A member, an element or a
--- length takes a few steps, wherever it stands and however long the document is; the first look far into a long container
--- makes an index of it. Reading a string copies it, a step for 32 bytes, and so do `text`, `table`, `members`, `encode` and
--- `same` for all they hold: ask for the parts that you need. A local that keeps a part saves looking it up again.
---
--- Using a part that was removed or replaced raises, and so does a document whose request is over.
---@class perilune.json
local json = {}

--- A part of a document: an object or an array. Members win over methods; only the root has the method `text`, and only
--- when it has no member of that name. Assigning takes scalars, plain tables, marked tables, proxies of any
--- document (copied with their bytes) and `json.null`; nil takes away. Arrays take `list[#list + 1] = value`, and nil for the
--- last element only. Infinities, NaN and functions raise.
---@class perilune.json.node
---@field [string|integer] any
---@operator len: integer
local node = {}

--- The whole text as it now stands; the original bytes when nothing was edited.
---
---     log.debug("body", { bytes = #req.body:text() })
---@return string
function node:text() end

---@alias perilune.json.value perilune.json.node|table|string|number|boolean

--- JSON's null, in both directions: `if body.stop == json.null then … end`, `body.stop = json.null`.
---@type userdata
json.null = nil

--- Mark a table as an array, so that it is written as one even when it is empty. Gives the same table; none makes a new one.
---
---     body.stop = json.array {}
---@generic T: table
---@param t? T
---@return T
function json.array(t) end

--- Mark a table as an object, whatever it holds. An unmarked empty table is an object already.
---
---     body.metadata = json.object {}
---@generic T: table
---@param t? T
---@return T
function json.object(t) end

--- Plain tables for a text; arrays are marked. `nulls = false` leaves members and elements that are null out;
--- any other option raises.
---
---     local t, why = json.decode '{"a":[1,null]}'
---@param text string
---@param options? { nulls?: boolean }
---@return any value nil when the text is not JSON
---@return string? why "line 1, column 3, byte 2: expected a value"
---@return string? code "EMALFORMED", "ETOOBIG", "ENOMEM"
function json.decode(text, options) end

--- The text of any value. Proxies give their own bytes; plain tables are written compactly, members sorted by name.
---
---     json.encode { b = 1, a = json.null }   -- {"a":null,"b":1}
---@param value perilune.json.value
---@return string
function json.encode(value) end

--- An editable document of your own. A text that is a scalar gives the scalar.
---
---     local doc = assert(json.document '{"a":1}'); doc.a = 2; doc:text()
---@param text string
---@return perilune.json.node|any document nil when the text is not JSON
---@return string? why
---@return string? code "EMALFORMED", "ETOOBIG", "ENOMEM"
function json.document(text) end

--- The text of a part as it now stands; of a root with the white space around it.
---
---     json.text(req.body.messages[1])
---@param part perilune.json.node
---@return string
function json.text(part) end

--- Plain tables for a part: a copy that knows nothing of the document. `nulls = false` as in decode.
---
---     local tools = json.table(req.body.tools)
---@param part perilune.json.node
---@param options? { nulls?: boolean }
---@return table
function json.table(part, options) end

--- What a value is, or would be, in JSON; nil for what JSON can not say.
---
---     if json.kind(body.content) == "array" then … end
---@param value any
---@return "object"|"array"|"string"|"number"|"boolean"|"null"|nil
function json.kind(value) end

--- How deep objects and arrays nest: 1 for one that holds none.
---
---     if json.depth(body) > 32 then … end
---@param part perilune.json.node
---@return integer
function json.depth(part) end

--- Does a member hold a string that begins, after white space, with an ASCII character? Costs nothing for long strings,
--- which reading them does. false is no proof: read the member then. What is no object has no members.
---
---     if json.has_text(message, "content") then … end
---@param object any
---@param name string
---@return boolean
function json.has_text(object, name) end

--- Members of an object, elements of an array; of a plain table all its fields.
---
---     if json.len(body) > 50 then … end
---@param value perilune.json.node|table
---@return integer
function json.len(value) end

--- The members of an object by name, in one call: scalars as plain values, objects and arrays as parts of the document.
--- A plain table that knows nothing of later edits; of a repeated name the last one.
---
---     local top = json.members(req.body)
---     if top.tools ~= nil then … end
---@param object perilune.json.node
---@return table<string, any> members
---@return boolean has_null one of them is null
function json.members(object) end

--- Insert an element before position `pos`; without one at the end. The elements behind it stay what they are.
---
---     json.insert(body.messages, 1, { role = "system", content = "Be brief." })
---@param array perilune.json.node
---@param pos integer from 1 to len + 1
---@param value perilune.json.value
---@overload fun(array: perilune.json.node, value: perilune.json.value)
function json.insert(array, pos, value) end

--- Add an element at the end.
---
---     json.append(body.messages, { role = "user", content = "Go on." })
---@param array perilune.json.node
---@param value perilune.json.value
function json.append(array, value) end

--- Take an element out; without a position the last.
---
---     json.remove(body.messages, 2)
---@param array perilune.json.node
---@param pos? integer
function json.remove(array, pos) end

--- Are two values the same? Member order, number notation and escapes do not matter. Takes parts and plain values.
---
---     json.same(body.tools, { { type = "function" } })
---@param a perilune.json.value
---@param b perilune.json.value
---@return boolean
function json.same(a, b) end

return json
