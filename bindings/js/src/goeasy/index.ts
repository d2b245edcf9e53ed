import { createClient } from '../index.js';
import { makeGoEasy } from './facade.js';

/** GoEasy, as `import GoEasy from 'goeasy'` gives it, over a Moorline server. */
const GoEasy = makeGoEasy({ createClient });

export default GoEasy;
export { GoEasy };
export type { GoEasy as GoEasyApi, GoEasyPubSub } from './facade.js';
export type * from './types.js';
