// A page whose client lives in a worker: it hands each scenario on, and returns what comes.
const worker = new Worker(new URL(location.href.replace(/[^/]*$/, 'page-in-worker.js')), { type: 'module' });

function runStep(...call: readonly unknown[]): Promise<unknown> {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<{ facts?: unknown; error?: string }>) =>
      data.error === undefined ? resolve(data.facts) : reject(new Error(data.error));
    worker.onerror = (event) => reject(new Error(event.message));
    worker.postMessage(call);
  });
}

Object.assign(globalThis, { runStep });
