-- Health of a PostgresVDB for Argo CD: what its conditions say about this generation, read as kstatus does.
-- A database that is still being made is Progressing, never Degraded: only Stalled means that a person must act.
local function progressing(message)
  return { status = "Progressing", message = message }
end

local meta, status = obj.metadata, obj.status
if meta.deletionTimestamp ~= nil then
  return progressing("Deleting")
end
if status == nil or status.conditions == nil then
  return progressing("Waiting for the operator")
end
if status.observedGeneration == nil or status.observedGeneration < (meta.generation or 0) then
  return progressing("Waiting for the operator to read this change")
end

local conditions = {}
for _, condition in ipairs(status.conditions) do
  conditions[condition.type] = condition
end

local function holds(kind)
  return conditions[kind] ~= nil and conditions[kind].status == "True"
end

local function says(kind)
  local condition = conditions[kind]
  if condition.message == nil or condition.message == "" then
    return condition.reason or ""
  end
  return (condition.reason or "") .. ": " .. condition.message
end

if holds("Suspended") then
  return { status = "Suspended", message = says("Suspended") }
end
if holds("Stalled") then
  return { status = "Degraded", message = says("Stalled") }
end
local ready = conditions.Ready
if ready == nil then
  return progressing("Waiting for the operator")
end
-- A condition may be older than the status around it.
if ready.observedGeneration ~= nil and ready.observedGeneration < (meta.generation or 0) then
  return progressing("Waiting for Ready to be assessed again")
end
if ready.status == "True" then
  return { status = "Healthy", message = says("Ready") }
end
return progressing(says("Ready"))
