export { nodeHost as defaultHost } from './node.js';

/** There are no tabs. */
export const shareTabs = undefined;
