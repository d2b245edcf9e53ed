// A document for tests that draw. Only what a framework asks for: the rest of the process is Node's.
const name: string = 'happy-dom'; // Its types want more than this package does.
const { Window } = (await import(name)) as { Window: new (options: object) => Record<string, unknown> };
const window = new Window({ url: 'http://localhost/' });
Object.assign(globalThis, { window, document: window['document'], navigator: window['navigator'] });
for (const type of ['Node', 'Element', 'HTMLElement', 'SVGElement', 'HTMLIFrameElement', 'Text', 'Comment', 'ShadowRoot', 'MathMLElement']) {
  Object.assign(globalThis, { [type]: window[type] });
}

export {};
