// Opens the status page in a headless Chromium and says what it saw, as one line of JSON.
//
//   node drive.mjs CHROMIUM URL [SCREENSHOTS_DIRECTORY]
//
// Speaks the DevTools protocol over a pipe: nothing to install, no port to open.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [chromium, url, screenshots] = process.argv.slice(2);
const profile = mkdtempSync(join(tmpdir(), "kinesis-batcher-page-"));
const browser = spawn(
  chromium,
  ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
    "--hide-scrollbars", "--remote-debugging-pipe", `--user-data-dir=${profile}`, "about:blank"],
  { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] },
);

let number = 0, session, rest = "", loaded;
const load = new Promise((resolve) => { loaded = resolve; });
const waiting = new Map(), complaints = [], requests = new Set();
browser.stdio[4].setEncoding("utf8");
browser.stdio[4].on("data", (chunk) => {
  const messages = (rest + chunk).split("\0");
  rest = messages.pop();
  for (const text of messages) {
    const message = JSON.parse(text);
    if (message.id) {
      const { resolve, reject } = waiting.get(message.id);
      waiting.delete(message.id);
      if (message.error) reject(new Error(message.error.message)); else resolve(message.result);
    } else if (message.method === "Runtime.exceptionThrown") {
      complaints.push(message.params.exceptionDetails.exception?.description ?? message.params.exceptionDetails.text);
    } else if (message.method === "Log.entryAdded" && message.params.entry.level === "error") {
      complaints.push(message.params.entry.text);
    } else if (message.method === "Page.loadEventFired") {
      loaded();
    } else if (message.method === "Network.requestWillBeSent") {
      requests.add(message.params.request.url.replace(/^data:.*/, "data:"));
    }
  }
});

function send(method, params = {}) {
  const id = ++number;
  browser.stdio[3].write(JSON.stringify({ id, method, params, sessionId: session }) + "\0");
  return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
}

async function evaluate(expression) {
  const { result, exceptionDetails } = await send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  return result.value;
}

/// Waits until so many more reports have been drawn.
async function updates(more) {
  await evaluate(`new Promise((resolve) => {
    const root = document.documentElement, until = Number(root.dataset.updates ?? 0) + ${more};
    const look = () => Number(root.dataset.updates ?? 0) >= until ? resolve() : setTimeout(look, 50);
    look();
  })`);
}

async function view(width, height) {
  await send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: width < 500 });
  await updates(1);
}

async function shoot(name) {
  if (!screenshots) return;
  const { cssContentSize: { width, height } } = await send("Page.getLayoutMetrics");
  const { data } = await send("Page.captureScreenshot", { captureBeyondViewport: true, clip: { x: 0, y: 0, width, height, scale: 1 } });
  writeFileSync(join(screenshots, name + ".png"), Buffer.from(data, "base64"));
}

async function press(key) {
  await send("Input.dispatchKeyEvent", { type: "keyDown", key });
  await send("Input.dispatchKeyEvent", { type: "keyUp", key });
}

const text = (id) => evaluate(`document.getElementById(${JSON.stringify(id)}).textContent`);

async function drive() {
  const { targetId } = await send("Target.createTarget", { url: "about:blank" });
  session = (await send("Target.attachToTarget", { targetId, flatten: true })).sessionId;
  for (const domain of ["Page", "Runtime", "Log", "Network"]) await send(domain + ".enable");
  await send("Emulation.setDeviceMetricsOverride", { width: 1280, height: 900, deviceScaleFactor: 1, mobile: false });
  await send("Page.navigate", { url });
  await load;
  await updates(Number(process.env.PAGE_UPDATES ?? 6));

  // Frames while reports come in each second, with something on the page that changes in each frame.
  const measure = () => evaluate(`new Promise((resolve) => {
    let count = 0, longest = 0, begin, before;
    const step = (now) => {
      begin ??= now;
      if (before !== undefined) { count++; longest = Math.max(longest, now - before); }
      before = now;
      document.getElementById("heat").dispatchEvent(new PointerEvent("pointermove", { clientX: 100 + count % 700, clientY: 300 }));
      if (now - begin < 5000) requestAnimationFrame(step); else resolve({ per_second: count / (now - begin) * 1000, longest_ms: longest });
    };
    requestAnimationFrame(step);
  })`);
  // Somebody else may have had the processor; a page that stutters by itself does so each time.
  let frames = await measure();
  for (let again = 0; again < 4 && frames.per_second < 30; again++) frames = await measure();
  await evaluate(`document.getElementById("heat").dispatchEvent(new PointerEvent("pointerleave"))`);
  await updates(1);
  // What it waits for need not be in every report: a shard that is backed off from is not throttled each second.
  let summary, state;
  for (let reports = 0; reports < 30; reports++) {
    [summary, state] = await evaluate(`["told", "state"].map((id) => document.getElementById(id).textContent)`);
    if (state === (process.env.PAGE_STATE ?? state)) break;
    await updates(1);
  }
  await shoot("light");

  // By keyboard alone.
  await evaluate(`document.body.focus(); document.getElementById("heat").focus()`);
  await press("h");
  const hottest = await text("told");
  await press("Home");
  const first = await text("told");
  await press("ArrowRight");
  const second = await text("told");
  await press("End");
  const end = await text("told");
  await press("ArrowRight");
  const behind_the_end = await text("told");
  await evaluate(`document.activeElement.blur()`);

  const theme = () => evaluate("document.documentElement.dataset.theme");
  const before = await theme();
  await press("d");
  const after = await theme();
  await updates(1);
  await shoot("dark");
  await press("p");
  const paused = await text("sub");
  await press("p");

  await view(400, 800);
  const overflow = await evaluate("document.documentElement.scrollWidth - innerWidth");
  await shoot("narrow-dark");
  await press("d");
  await updates(1);
  await shoot("narrow");

  await view(1280, 900);
  await send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-reduced-motion", value: "reduce" }] });
  const transition = await evaluate(`getComputedStyle(document.querySelector(".track i")).transitionDuration`);
  const hottest_row = await evaluate(`document.querySelector("#hottest tr").textContent`);
  return { frames, summary, state, hottest, first, second, end, behind_the_end, themes: [before, after], paused, overflow, transition, hottest_row, complaints, requests: [...requests] };
}

const patience = setTimeout(() => { console.error("the page took more than two minutes"); browser.kill("SIGKILL"); process.exit(2); }, 120_000);
try {
  console.log(JSON.stringify(await drive()));
} finally {
  clearTimeout(patience);
  browser.kill("SIGKILL");
  await new Promise((resolve) => (browser.exitCode ?? browser.signalCode) !== null ? resolve() : browser.once("exit", resolve));
  // The browser may still be writing to it on its way out.
  rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
}
