import { calls } from './calls.js';
import { connection } from './connection.js';
import { errors } from './errors.js';
import { faults } from './faults.js';
import { people } from './people.js';
import { publish } from './publish.js';
import { reading } from './reading.js';
import type { Scenario } from './world.js';

export { type Package, type Places, type Scenario, World } from './world.js';

/** Every scenario by name: the same on every platform. */
export const scenarios: Readonly<Record<string, Scenario>> = { ...connection, ...publish, ...reading, ...faults, ...people, ...errors, ...calls };
