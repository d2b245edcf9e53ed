export { makeGoEasy, type GoEasy, type GoEasyPubSub } from './facade.js';
export type * from './types.js';
