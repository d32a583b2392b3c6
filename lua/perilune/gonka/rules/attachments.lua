--- attachments: what a model that only reads text gets of images, sound and files: a note that something stood there.
local json = require("perilune").json

local attachments = {
  --- Types of parts of other kinds, and what they are called in the note.
  kinds = {
    image_url = "image", input_image = "image", image = "image", image_file = "image",
    input_audio = "sound", audio = "sound", audio_url = "sound", video_url = "video", input_video = "video",
    file = "file", input_file = "file", document = "file",
  },
}

--- @param kind string
function attachments.text(kind)
  return ("[%s left out: this model reads text only]"):format(kind)
end

local function note_parts(parts)
  local count = 0
  for i = 1, #parts do
    local part = parts[i]
    local kind = json.kind(part) == "object" and part.type
    if attachments.kinds[kind] then
      parts[i] = { type = "text", text = attachments.text(attachments.kinds[kind]) }
      count = count + 1
    elseif kind == "tool_result" and json.kind(part.content) == "array" then
      count = count + note_parts(part.content)
    end
  end
  return count
end

--- Put notes where messages hold something else than text.
---@param messages any of a request; edited
---@return integer count notes put
function attachments.note(messages)
  local count = 0
  for i = 1, json.kind(messages) == "array" and #messages or 0 do
    local message = messages[i]
    local content = json.kind(message) == "object" and message.content
    if json.kind(content) == "array" then count = count + note_parts(content) end
  end
  return count
end

return attachments
