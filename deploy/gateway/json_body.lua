-- Checks the body of a JSON request before it is transcoded, and names its fields to the service.
--
-- The transcoder accepts more than JSON (bare names, trailing commas), and drops fields that it does not know. This
-- filter rejects text that is not JSON (RFC 8259). It sends the paths of all fields in the header
-- `meno-json-fields`, such as `class_id,content.title`, so that the service can reject unknown ones. The transcoder
-- rejects an unknown value of an enum with the name of the enum; the filter puts the values in its place.
-- Two constants precede this script: `ENUM_VALUES` has the values of each enum, such as "ROLE_STUDENT, ROLE_TEACHER";
-- `UNITS_PER_SECOND` is the work that the JSON of one address may cause.

local HEADER = "meno-json-fields"
-- The body must arrive before it can be rejected, because clients of HTTP/1 would otherwise see a reset.
local MAX_BODY_BYTES = 8 * 1024 * 1024
-- The limits bound the time in which the thread of Envoy serves nobody else: 0.1 s for this many values. It is the
-- largest number that 256 KiB of protobuf can hold.
local MAX_VALUES = 65536
local MAX_DEPTH = 64
-- The transcoder takes 1.8 s to read a number of 8 MiB.
local MAX_SCALAR_BYTES = 64
-- Beside the longest token, it fits in the headers that services accept. Further fields are not named.
local MAX_HEADER_BYTES = 4096
-- A unit is a value, or this many bytes: either takes up to 1.2 µs here and in the transcoder.
local BYTES_PER_UNIT = 16
-- An address that sends nothing for a while may cause this many seconds of its work at once: the trial and the import
-- of the largest roster.
local BURST_SECONDS = 20
-- Beyond it, all debts are forgotten.
local MAX_ADDRESSES = 20000
-- Longer than each path of the contracts. A longer path is cut, and the fields below it are not named.
local MAX_PATH_BYTES = 256

local byte, find, format, gmatch, gsub, match, sub =
  string.byte, string.find, string.format, string.gmatch, string.gsub, string.match, string.sub
local max, min = math.max, math.min
local OPEN_OBJECT, CLOSE_OBJECT, OPEN_LIST, CLOSE_LIST = byte("{"), byte("}"), byte("["), byte("]")
local QUOTE, BACKSLASH, COLON, COMMA, SPACE = byte('"'), byte("\\"), byte(":"), byte(","), byte(" ")
local ESCAPES = {}
for character in gmatch('"\\/bfnrt', ".") do
  ESCAPES[byte(character)] = true
end
local LITERALS = { ["true"] = true, ["false"] = true, ["null"] = true }

-- The state of the text that is read. Lua filters are not interrupted between two instructions.
local text, position, values, paths, path_bytes

local function fail(problem)
  local line, start = 1, 1
  local line_end = find(text, "\n", 1, true)
  while line_end and line_end < position do
    line, start = line + 1, line_end + 1
    line_end = find(text, "\n", start, true)
  end
  error({
    problem = format("The body is not JSON: %s at line %d, column %d", problem, line, position - start + 1),
  })
end

-- Moves to the next character that is not white space, and returns its code, or nil at the end.
local function next_code()
  local code = byte(text, position)
  if code and code > SPACE then
    return code
  end
  position = find(text, "[^ \t\r\n]", position) or #text + 1
  return byte(text, position)
end

-- Reads a string and returns the positions of its first and last character.
local function read_string()
  local start = position + 1
  position = start
  while true do
    position = find(text, '["\\%z\1-\31]', position)
    local code = position and byte(text, position)
    if code == QUOTE then
      position = position + 1
      return start, position - 2
    elseif code ~= BACKSLASH then
      position = position or #text + 1
      fail(code and "a string contains a control character" or "a string does not end")
    end
    if ESCAPES[byte(text, position + 1)] then
      position = position + 2
    elseif find(text, "^u%x%x%x%x", position + 1) then
      position = position + 6
    else
      fail("a string contains an unknown escape sequence")
    end
  end
end

local function is_number(token)
  local whole, rest = match(token, "^-?(%d+)(.*)$")
  if not whole or (#whole > 1 and sub(whole, 1, 1) == "0") then
    return false
  end
  rest = gsub(rest, "^%.%d+", "")
  return rest == "" or find(rest, "^[eE][-+]?%d+$") ~= nil
end

local function read_scalar()
  local token = match(text, "^[%w+.-]+", position)
  if not token or #token > MAX_SCALAR_BYTES or not (LITERALS[token] or is_number(token)) then
    fail("expected a value")
  end
  position = position + #token
end

-- Remembers the path of a field and returns the prefix of the fields below it; nil if these are not to be named.
-- Characters that would be ambiguous in the header become %XX.
local function add_path(prefix, first, last)
  if not prefix or path_bytes + MAX_PATH_BYTES > MAX_HEADER_BYTES then
    return nil
  end
  local name = gsub(sub(text, first, min(last, first + MAX_PATH_BYTES)), "[^%w_@$-]", function(character)
    return format("%%%02X", byte(character))
  end)
  local path = sub(prefix .. name, 1, MAX_PATH_BYTES)
  if not paths[path] then
    path_bytes = path_bytes + #path + 1
    paths[path] = true
    paths[#paths + 1] = path
  end
  return #path < MAX_PATH_BYTES and path .. "." or nil
end

local read_value

-- Reads what stands between the brackets of an object or a list.
local function read_items(read_item, close, expected, prefix, depth)
  position = position + 1
  if next_code() == close then
    position = position + 1
    return
  end
  while true do
    read_item(prefix, depth)
    local code = next_code()
    if code ~= COMMA and code ~= close then
      fail(expected)
    end
    position = position + 1
    if code == close then
      return
    end
  end
end

local function read_member(prefix, depth)
  if next_code() ~= QUOTE then
    fail("expected a name in double quotes")
  end
  local below = add_path(prefix, read_string())
  if next_code() ~= COLON then
    fail("expected `:`")
  end
  position = position + 1
  read_value(below, depth)
end

function read_value(prefix, depth)
  local code = next_code()
  values = values + 1
  if values > MAX_VALUES then
    fail(format("more than %d values", MAX_VALUES))
  elseif depth > MAX_DEPTH then
    fail(format("more than %d levels", MAX_DEPTH))
  elseif code == OPEN_OBJECT then
    read_items(read_member, CLOSE_OBJECT, "expected `,` or `}`", prefix, depth + 1)
  elseif code == OPEN_LIST then
    read_items(read_value, CLOSE_LIST, "expected `,` or `]`", prefix, depth + 1)
  elseif code == QUOTE then
    read_string()
  else
    read_scalar()
  end
end

local function read_body()
  read_value("", 1)
  if next_code() then
    fail("expected the end")
  end
end

-- The work that each network has caused, in units: it decreases with time.
local debts, debtors = {}, 0

-- Returns the network of an address such as `[2001:db8::1]:443`: a host has all addresses of a /64 network in IPv6.
local function network_of(address)
  local ipv6 = match(address, "^%[(.*)%]")
  if not ipv6 then
    return match(address, "^[^:]*")
  end
  local head, tail = match(ipv6, "^(.-)::(.*)$")
  local groups, last = {}, {}
  for group in gmatch(head or ipv6, "%x+") do
    groups[#groups + 1] = group
  end
  for group in gmatch(tail or "", "%x+") do
    last[#last + 1] = group
  end
  for _ = #groups + #last + 1, 8 do
    groups[#groups + 1] = "0"
  end
  return table.concat(groups, ":", 1, 4)
end

-- Returns the debt of the network of a request: a table with `units` at the time `seconds`.
local function debt_of(handle)
  local network = network_of(handle:streamInfo():downstreamRemoteAddress())
  local now = handle:timestamp(EnvoyTimestampResolution.MILLISECOND) / 1000
  local debt = debts[network]
  if not debt then
    if debtors >= MAX_ADDRESSES then
      debts, debtors = {}, 0
    end
    debt, debtors = { units = 0, seconds = now }, debtors + 1
    debts[network] = debt
  end
  -- The clock of the machine can be set back.
  local elapsed = max(0, now - debt.seconds)
  debt.units = max(0, debt.units - UNITS_PER_SECOND * elapsed)
  debt.seconds = now
  return debt
end

-- Returns the paths of all fields, or nil and the problem if the text is not JSON.
local function read_fields(body)
  text, position, values, paths, path_bytes = body, 1, 0, {}, 0
  local done, failure = pcall(read_body)
  local header = table.concat(paths, ",")
  text, paths = nil, nil
  if done then
    return header
  end
  -- Anything else than a table is an error of this script.
  return nil, type(failure) == "table" and failure.problem or "The body cannot be read"
end

function envoy_on_request(handle)
  local headers = handle:headers()
  headers:remove(HEADER)
  -- The body of an upload is a file.
  if find(match(headers:get(":path"), "^[^?]*"), ":upload$") then
    return
  end
  local body = handle:body()
  if not body then
    return
  elseif body:length() > MAX_BODY_BYTES then
    handle:respond({ [":status"] = "413" }, "")
    return
  end
  local debt = debt_of(handle)
  if debt.units > UNITS_PER_SECOND * BURST_SECONDS then
    handle:respond({ [":status"] = "429" }, "")
    return
  end
  local fields, problem = read_fields(body:getBytes(0, body:length()))
  debt.units = debt.units + values + body:length() / BYTES_PER_UNIT
  if problem then
    handle:respond({ [":status"] = "400" }, problem)
  else
    handle:headers():replace(HEADER, fields)
  end
end

function envoy_on_response(handle)
  if handle:headers():get(":status") ~= "400" then
    return
  end
  local body = handle:body()
  if not body then
    return
  end
  local completed, found = gsub(
    body:getBytes(0, body:length()),
    " for type type%.googleapis%.com/([%w_.]+) %(see /docs[^)]*%)",
    function(enum)
      return ENUM_VALUES[enum] and "; use one of " .. ENUM_VALUES[enum]
    end
  )
  if found > 0 then
    handle:headers():replace("content-length", body:setBytes(completed))
  end
end
