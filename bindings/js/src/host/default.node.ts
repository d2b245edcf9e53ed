export { nodeHost as defaultHost } from './node.js';
