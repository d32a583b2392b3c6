// Conversations with tools: the client's own loop calls them and sends the results back, as often as it is asked.
// For clients.mjs; `load` finds a package where they are installed. What is called stands in seen.called, in order.
const places = { type: "object", properties: { place: { type: "string" } }, required: ["place"] };
const names = ["weather", "clock"];

function tell(name, seen) {
  seen.called = [];
  return async ({ place }) => {
    seen.called.push(`${name} ${place}`);
    return `${name} of ${place}`;
  };
}

export async function with_openai(load, baseURL, call, seen) {
  const { default: OpenAI } = await load("openai");
  const client = new OpenAI({ baseURL, apiKey: "sk-client", maxRetries: 0, timeout: 20000 });
  const runner = client.chat.completions.runTools({
    model: call.model, stream: call.stream, messages: [{ role: "user", content: "Go." }],
    tools: names.map((name) => ({
      type: "function", function: { name, parameters: places, parse: JSON.parse, function: tell(name, seen) },
    })),
  });
  seen.text = await runner.finalContent();
}

export async function with_ai_sdk(load, baseURL, call, seen) {
  const { streamText, generateText, tool, jsonSchema, isStepCount } = await load("ai");
  const { createOpenAICompatible } = await load("@ai-sdk/openai-compatible");
  const model = createOpenAICompatible({ name: "router", baseURL, apiKey: "sk-client" })(call.model);
  const made = (name) => [name, tool({ inputSchema: jsonSchema(places), execute: tell(name, seen) })];
  const options = {
    model, prompt: "Go.", maxRetries: 0, stopWhen: isStepCount(10), tools: Object.fromEntries(names.map(made)),
  };
  if (!call.stream) {
    seen.text = (await generateText(options)).text;
    return;
  }
  for await (const part of streamText({ ...options, onError() {} }).fullStream) {
    if (part.type === "text-delta") seen.text += part.text;
    if (part.type === "error") throw part.error instanceof Error ? part.error : new Error(JSON.stringify(part.error));
    if (part.type === "finish") seen.finish = part.finishReason;
  }
}
