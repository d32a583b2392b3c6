// The official clients, driven by a spec: one call a line of the plan, one JSON line of what the program saw.
//   node clients.mjs BASE_URL PLAN     PLAN is JSON: [{ client, stream, tools, retries, timeout, abort_after, fields }]
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import * as conversations from "./conversations.mjs";

const require = createRequire(process.cwd() + "/");
const load = (name) => import(pathToFileURL(require.resolve(name)).href);

const [base_url, plan] = process.argv.slice(2);
const messages = [{ role: "user", content: "Say hello." }];
const tools = [{ type: "function", function: { name: "weather", parameters: { type: "object", properties: {} } } }];

function describe(error) {
  const cause = error?.cause;
  return {
    name: error?.constructor?.name, message: String(error?.message), status: error?.status ?? null,
    code: error?.code ?? null, type: error?.type ?? null, param: error?.param ?? null,
    request_id: error?.requestID ?? error?.request_id ?? null, cause: cause ? String(cause.message ?? cause) : null,
  };
}

async function with_openai(call, seen) {
  const { default: OpenAI } = await load("openai");
  let requests = 0;
  const client = new OpenAI({
    baseURL: base_url, apiKey: call.key ?? "sk-client", maxRetries: call.retries ?? 0, timeout: call.timeout ?? 20000,
    fetch: (...args) => { requests++; return fetch(...args); },
  });
  const params = { model: "m", messages, ...(call.tools ? { tools } : {}), ...call.fields };
  try {
    if (!call.stream) {
      const answer = await client.chat.completions.create(params);
      Object.assign(seen, {
        text: answer.choices[0].message.content, tool_calls: answer.choices[0].message.tool_calls,
        finish: answer.choices[0].finish_reason, usage: answer.usage, request_id: answer._request_id,
      });
    } else {
      const stream = await client.chat.completions.create({ ...params, stream: true });
      for await (const chunk of stream) {
        seen.chunks++;
        const choice = chunk.choices?.[0];
        seen.text += choice?.delta?.content ?? "";
        for (const part of choice?.delta?.tool_calls ?? []) seen.arguments += part.function?.arguments ?? "";
        if (choice?.finish_reason) seen.finish = choice.finish_reason;
        if (chunk.usage) seen.usage = chunk.usage;
        if (call.abort_after && seen.chunks >= call.abort_after) { stream.controller.abort(); break; }
      }
    }
    if (call.models) seen.models = (await client.models.list()).data.map((model) => model.id);
  } finally {
    seen.requests = requests;
  }
}

async function with_ai_sdk(call, seen) {
  const { streamText, generateText } = await load("ai");
  const { createOpenAICompatible } = await load("@ai-sdk/openai-compatible");
  const model = createOpenAICompatible({ name: "router", baseURL: base_url, apiKey: "sk-client" })("m");
  const options = { model, prompt: "Say hello.", maxRetries: call.retries ?? 0 };
  if (!call.stream) {
    const answer = await generateText(options);
    Object.assign(seen, { text: answer.text, finish: answer.finishReason });
    return;
  }
  const result = streamText({ ...options, onError() {} });
  for await (const part of result.fullStream) {
    if (part.type === "text-delta") { seen.chunks++; seen.text += part.text ?? part.delta ?? ""; }
    if (part.type === "error") throw part.error instanceof Error ? part.error : new Error(JSON.stringify(part.error));
    if (part.type === "finish") seen.finish = part.finishReason;
  }
}

async function with_langchain(call, seen) {
  const { ChatOpenAI } = await load("@langchain/openai");
  const model = new ChatOpenAI({
    model: "m", apiKey: "sk-client", maxRetries: call.retries ?? 0, streaming: !!call.stream,
    configuration: { baseURL: base_url },
  });
  if (!call.stream) {
    const answer = await model.invoke("Say hello.");
    Object.assign(seen, { text: answer.content });
    return;
  }
  for await (const chunk of await model.stream("Say hello.")) { seen.chunks++; seen.text += chunk.content; }
}

// The Gonka SDK signs with the key in a file; `source` has it look for its endpoints, `endpoints` names them, and with
// neither it is left to itself. `pick` chooses among them.
async function with_gonka(call, seen) {
  const sdk = await load("gonka-openai");
  if (call.verify) process.env.GONKA_VERIFY_PROOF = "1"; else delete process.env.GONKA_VERIFY_PROOF;
  const endpoints = call.source ? await sdk.resolveEndpoints({ sourceUrl: call.source }) : call.endpoints;
  if (call.source) seen.endpoints = endpoints;
  const client = new sdk.GonkaOpenAI({
    gonkaPrivateKey: readFileSync(call.key_file, "utf8").trim(), endpoints, maxRetries: 0, timeout: 20000,
    ...(call.pick !== undefined ? { endpointSelectionStrategy: (list) => list[call.pick] } : {}),
    ...(call.source_option ? { sourceUrl: call.source_option } : {}),
  });
  seen.selected = client.selectedEndpoint.url;
  if (call.only_select) return;
  if (call.models) { seen.models = (await client.models.list()).data.map((model) => model.id); return; }
  const params = { model: "m", messages, ...call.fields };
  if (!call.stream) {
    const answer = await client.chat.completions.create(params);
    Object.assign(seen, { text: answer.choices[0].message.content, finish: answer.choices[0].finish_reason });
    return;
  }
  for await (const chunk of await client.chat.completions.create({ ...params, stream: true })) {
    seen.chunks++;
    seen.text += chunk.choices?.[0]?.delta?.content ?? "";
    if (chunk.choices?.[0]?.finish_reason) seen.finish = chunk.choices[0].finish_reason;
  }
}

const clients = {
  openai: with_openai, ai: with_ai_sdk, langchain: with_langchain, gonka: with_gonka,
  "openai tools": (call, seen) => conversations.with_openai(load, base_url, call, seen),
  "ai tools": (call, seen) => conversations.with_ai_sdk(load, base_url, call, seen),
};
for (const call of JSON.parse(plan)) {
  const seen = { ok: true, text: "", arguments: "", chunks: 0, finish: null };
  try {
    await clients[call.client ?? "openai"](call, seen);
  } catch (error) {
    seen.ok = false;
    seen.error = describe(error);
  }
  console.log(JSON.stringify(seen));
}
process.exit(0);
