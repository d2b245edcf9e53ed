// In JavaScript `view[at] = call()` and `view[call()]` look the view up before the call. Where the call makes the memory grow, they
// write to, or read from, what the memory was. wasm2js avoids that and minifiers keep it so; this finds out whether it is so.
import { parse } from 'acorn';

/** Returns the places of a module made by wasm2js where a view is used around a call that may make the memory grow. */
export function growthHazards(code) {
  const asm = largest(parse(code, { ecmaVersion: 2018, sourceType: 'module' }));
  const views = new Set();
  const functions = new Map();
  for (const statement of asm.body.body) {
    if (statement.type === 'FunctionDeclaration') functions.set(statement.id.name, statement);
    if (statement.type !== 'VariableDeclaration') continue;
    for (const { id, init } of statement.declarations) if (init?.type === 'NewExpression' && /^(U?Int|Float)\d+Array$/.test(init.callee.name)) views.add(id.name);
  }
  if (views.size === 0 || functions.size === 0) throw new Error('this is not what wasm2js makes');
  const growing = growers(functions);
  const grows = (node) => some(node, (inner) => inner.type === 'CallExpression' && growing.has(calleeOf(inner)));
  const isView = (node) => node.type === 'MemberExpression' && node.computed && views.has(node.object.name);
  const found = [];
  visit(asm, (node) => {
    const isStore = node.type === 'AssignmentExpression' && isView(node.left) && (grows(node.left.property) || grows(node.right));
    if (isStore || (isView(node) && grows(node.property))) found.push(code.slice(node.start, Math.min(node.end, node.start + 120)));
  });
  return found;
}

/** The functions that may make the memory grow: all that reach one which makes a buffer, or that call through a table. */
function growers(functions) {
  const growing = new Set([indirect]);
  for (const [name, made] of functions) if (some(made.body, (node) => node.type === 'NewExpression' && node.callee.name === 'ArrayBuffer')) growing.add(name);
  if (growing.size === 1) throw new Error('no function makes the memory grow');
  const calls = new Map();
  for (const [name, made] of functions) {
    const to = new Set();
    visit(made.body, (node) => void (node.type === 'CallExpression' && to.add(calleeOf(node))));
    calls.set(name, to);
  }
  for (let before = 0; before !== growing.size; ) {
    before = growing.size;
    for (const [name, to] of calls) if ([...to].some((callee) => growing.has(callee))) growing.add(name);
  }
  return growing;
}

const indirect = '(through a table)';
const calleeOf = (call) => (call.callee.type === 'Identifier' ? call.callee.name : indirect);

/** The function with the most functions in it: the module's own. */
function largest(root) {
  let found;
  let most = 0;
  visit(root, (node) => {
    if (node.type !== 'FunctionDeclaration' && node.type !== 'FunctionExpression') return;
    const count = node.body.body.filter((statement) => statement.type === 'FunctionDeclaration').length;
    if (count > most) [found, most] = [node, count];
  });
  return found;
}

function some(root, holds) {
  let found = false;
  visit(root, (node) => void (found ||= holds(node)));
  return found;
}

function visit(node, act) {
  act(node);
  for (const key in node) {
    const value = node[key];
    if (Array.isArray(value)) for (const inner of value) inner?.type && visit(inner, act);
    else if (typeof value?.type === 'string') visit(value, act);
  }
}
