# The walk-through of the API reference (appendix A) with the real bash, curl and jq: its commands as
# they stand there, ids in variables, each answer compared with the one that stands beside it.
#
# Needs VM0_API_URL, VM0_API_KEY and MODEL_URL, and the volume `input-data`, the artifact
# `output-results` and the stored secret ANTHROPIC_API_KEY that the appendix assumes.
set -euo pipefail

fail() { echo "step $1: $2" >&2; exit 1; }

# same STEP JSON EXPECTED-JSON
same() { jq -en --argjson a "$2" --argjson b "$3" '$a == $b' >/dev/null || fail "$1" "$2 is not $3"; }

# holds STEP JSON FILTER
holds() { jq -e "$3" <<<"$2" >/dev/null || fail "$1" "$3 does not hold of $2"; }

# A.1
said=$(VM0_API_KEY=vm0_live_your-api-key bash -c 'curl -s "$VM0_API_URL/v1/agents" -H "Authorization: Bearer $VM0_API_KEY"')
same 'a wrong key' "$said" '{"error":{"type":"authentication_error","code":"invalid_api_key","message":"Invalid API key provided"}}'

said=$(curl -s -X POST "$VM0_API_URL/v1/agents" -H "Authorization: Bearer $VM0_API_KEY" -H "Content-Type: application/json" -d '{"config":{
  "version":"1.0","agents":{"my-agent":{"framework":"claude-code","description":"My agent description",
  "environment":{"ANTHROPIC_API_KEY":"${{ secrets.ANTHROPIC_API_KEY }}","ANTHROPIC_BASE_URL":"'"$MODEL_URL"'"},"volumes":["input-data:/home/user/data"]}},
  "volumes":{"input-data":{"name":"input-data","version":"latest"}}}}')
holds 'the agent' "$said" '.action == "created" and .name == "my-agent"'

# A.2
said=$(bash -c 'curl -s "$VM0_API_URL/v1/agents" -H "Authorization: Bearer $VM0_API_KEY"' | jq '.data')
holds 'agents' "$said" 'length == 1 and (.[0] | keys_unsorted) == ["id","name","description","current_version_id","created_at","updated_at"]'
said=$(bash -c 'curl -s "$VM0_API_URL/v1/agents" -H "Authorization: Bearer $VM0_API_KEY"' | jq '.data[] | {id, name}')
holds 'an agent' "$said" '.name == "my-agent"'
AGENT_ID=$(jq -r .id <<<"$said")
export AGENT_ID
said=$(bash -c 'curl -s "$VM0_API_URL/v1/agents/$AGENT_ID" -H "Authorization: Bearer $VM0_API_KEY"' | jq '{id, name, description}')
same 'the agent by its id' "$said" '{"id":"'"$AGENT_ID"'","name":"my-agent","description":"My agent description"}'

# A.3
cat >vm0_request.json <<'JSON'
{
  "agent": "my-agent",
  "prompt": "Hello, please introduce yourself"
}
JSON
said=$(bash -c 'curl -s -X POST "$VM0_API_URL/v1/runs" -H "Authorization: Bearer $VM0_API_KEY" -H "Content-Type: application/json" -d @vm0_request.json' | jq '{id, status}')
holds 'a run' "$said" '.status == "pending"'
RUN_ID=$(jq -r .id <<<"$said")
export RUN_ID
for _ in $(seq 600); do
    said=$(bash -c 'curl -s "$VM0_API_URL/v1/runs/$RUN_ID" -H "Authorization: Bearer $VM0_API_KEY"' | jq '{id, status, error, execution_time_ms}')
    jq -e '.status == "pending" or .status == "running"' <<<"$said" >/dev/null || break
    sleep 0.2
done
holds 'the run ends' "$said" '.status == "completed" and .error == null and .execution_time_ms > 0'
said=$(bash -c 'curl -s "$VM0_API_URL/v1/runs/$RUN_ID" -H "Authorization: Bearer $VM0_API_KEY"')
holds 'the run, whole' "$said" '(keys_unsorted | sort) == (["id","agent_id","agent_name","status","prompt","created_at",
  "started_at","completed_at","error","execution_time_ms","checkpoint_id","session_id","artifact_name","artifact_version",
  "volumes","salvaged_artifact_version","agent_version","timeout_seconds","output","exit_code","sandbox","usage","timings"] | sort)'
holds 'the run, whole' "$said" '.exit_code == 0 and .timeout_seconds == 7200 and (.volumes["input-data"] | length) == 64
  and .artifact_name == null and (.usage | keys) == ["cost_usd","input_tokens","output_tokens"]'
said=$(bash -c 'curl -s "$VM0_API_URL/v1/runs/$RUN_ID/logs" -H "Authorization: Bearer $VM0_API_KEY"' | jq '.data[]')
holds 'logs' "$(jq -s . <<<"$said")" 'any(.type == "system" and (.message | startswith("[sandbox:boot]")))
  and any(.type == "agent" and .metadata.eventType == "system" and .metadata.eventData.subtype == "init")'

# A.4
said=$(curl -s -X POST "$VM0_API_URL/v1/runs" \
  -H "Authorization: Bearer $VM0_API_KEY" \
  -H "Content-Type: application/json" \
  -d @- << 'JSON'
{
  "agent": "my-agent",
  "prompt": "Process the data file",
  "variables": {
    "DEBUG": "true"
  },
  "volumes": {
    "input-data": "latest"
  }
}
JSON
)
holds 'a run with values' "$said" '.status == "pending" and .volumes == {"input-data":"latest"} and .started_at == null
  and .timings == {"queue_ms":null,"sandbox_ready_ms":null} and .output == null and .sandbox == null'
RUN_ID=$(jq -r .id <<<"$said")
said=$(bash -c 'curl -s -X POST "$VM0_API_URL/v1/runs/$RUN_ID/cancel" -H "Authorization: Bearer $VM0_API_KEY"' | jq '{id, status}')
same 'cancel' "$said" '{"id":"'"$RUN_ID"'","status":"cancelled"}'
said=$(bash -c 'curl -s -X POST "$VM0_API_URL/v1/runs/$RUN_ID/cancel" -H "Authorization: Bearer $VM0_API_KEY"')
same 'cancel again' "$said" '{"error":{"type":"invalid_request_error","code":"invalid_state","message":"Run cannot be cancelled: current status is '"'cancelled'"'"}}'

# A.5
said=$(bash -c 'curl -s "$VM0_API_URL/v1/volumes" -H "Authorization: Bearer $VM0_API_KEY"' | jq '.data[] | {id, name}')
holds 'volumes' "$said" '.name == "input-data"'
VOLUME_ID=$(jq -r .id <<<"$said")
curl -s -L -o volume.tar.gz "$VM0_API_URL/v1/volumes/$VOLUME_ID/download" \
  -H "Authorization: Bearer $VM0_API_KEY"
[ "$(tar -tzf volume.tar.gz)" = a.txt ] || fail 'volume download' "$(tar -tzf volume.tar.gz)"
said=$(bash -c 'curl -s "$VM0_API_URL/v1/artifacts" -H "Authorization: Bearer $VM0_API_KEY"' | jq '.data[] | {id, name}')
holds 'artifacts' "$said" '.name == "output-results"'
ARTIFACT_ID=$(jq -r .id <<<"$said")
curl -s -L -o artifact.tar.gz "$VM0_API_URL/v1/artifacts/$ARTIFACT_ID/download" \
  -H "Authorization: Bearer $VM0_API_KEY"
mkdir output
tar -xzf artifact.tar.gz -C ./output/
[ "$(cat output/result.txt)" = done ] || fail 'artifact download' "$(ls output)"
said=$(bash -c 'curl -s "$VM0_API_URL/v1/runs?limit=10" -H "Authorization: Bearer $VM0_API_KEY"' | jq '{data, pagination}')
holds 'runs' "$said" '(.data | length) == 2 and .pagination == {"has_more":false,"next_cursor":null}'
CURSOR=$(curl -s "$VM0_API_URL/v1/runs?limit=1" -H "Authorization: Bearer $VM0_API_KEY" | jq -r .pagination.next_cursor)
export CURSOR
said=$(bash -c 'curl -s "$VM0_API_URL/v1/runs?limit=10&cursor=$CURSOR" -H "Authorization: Bearer $VM0_API_KEY"' | jq '{data, pagination}')
holds 'the next runs' "$said" '(.data | length) == 1 and .pagination.has_more == false'
said=$(bash -c 'curl -s "$VM0_API_URL/v1/runs?limit=10&cursor=abc123" -H "Authorization: Bearer $VM0_API_KEY"')
same 'a cursor never issued' "$said" '{"error":{"type":"invalid_request_error","code":"invalid_parameter","message":"Invalid cursor","param":"cursor"}}'
said=$(curl -s -X POST "$VM0_API_URL/v1/runs" -H "Authorization: Bearer $VM0_API_KEY" -H "Content-Type: application/json" -d '{"agent":"nobody","prompt":"x"}')
same 'an agent that is not there' "$said" '{"error":{"type":"not_found_error","code":"resource_not_found","message":"No such agent: '"'nobody'"'","param":"agent"}}'
echo done
