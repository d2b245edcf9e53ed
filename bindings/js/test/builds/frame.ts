import { fileURLToPath } from 'node:url';
import { type Layer, type Own, serviceLayer, startLayer } from './service.js';

/** The service layer of the uni-app of chat-uni, bundled. */
export const layer = await serviceLayer(fileURLToPath(new URL('../../../../examples/chat-uni/', import.meta.url)));

const config = `service.register('', { create: () => ({ instance: { __uniRoutes: [], __uniConfig: { entryPagePath: '', networkTimeout: {} } } }) });`;

/** The service layer, with an app that shows nothing. */
export function emptyApp(own: Own): Layer {
  const { frame } = startLayer(layer, config, { console, ...own });
  frame.Vue.createVueApp({ render: () => undefined }).mount('#app');
  return frame;
}
