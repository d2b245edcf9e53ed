/** A touch's place does not matter: nothing is laid out here. */
const frame = { x: 0, y: 0, width: 100, height: 40 };
const priorities = { default: 0, discrete: 1, continuous: 2, idle: 3 };

type Props = Record<string, unknown>;

/** A shadow node. Clones of a node share its family. */
interface Node {
  readonly family: Family;
  readonly props: Props;
  readonly children: Node[];
}

interface Family {
  readonly tag: number;
  readonly view: string;
  readonly handle: unknown;
  /** What a text field shows, and how often it has changed. */
  text: string;
  changes: number;
}

type Handler = (handle: unknown, type: string, payload: object) => void;

/**
 * The native side of the new renderer, as ReactCommon/react/renderer/uimanager/UIManagerBinding.cpp has it: React makes immutable trees of
 * nodes and commits them, and is told of touches and of texts that are typed.
 */
export class Screen {
  /** The trees of all surfaces, as they were committed last. */
  private readonly surfaces = new Map<number, readonly Node[]>();
  private handler: Handler | undefined;
  private priority = priorities.default;

  constructor(private readonly later: (run: () => void) => void) {}

  /** `nativeFabricUIManager`. */
  binding(): object {
    const clone = (node: Node, children: readonly Node[], props: Props = {}): Node => ({
      family: node.family, children: [...children], props: { ...node.props, ...props },
    });
    const measured = [frame.x, frame.y, frame.width, frame.height];
    return {
      createNode: (tag: number, view: string, _surface: number, props: Props, handle: unknown): Node => ({
        family: { tag, view, handle, text: '', changes: 0 }, props, children: [],
      }),
      cloneNodeWithNewChildren: (node: Node, children: readonly Node[] = []) => clone(node, children),
      cloneNodeWithNewProps: (node: Node, props: Props) => clone(node, node.children, props),
      cloneNodeWithNewChildrenAndProps: (node: Node, ...rest: [Props] | [readonly Node[], Props]) =>
        rest.length === 2 ? clone(node, rest[0], rest[1]) : clone(node, [], rest[0]),
      appendChild: (parent: Node, child: Node) => void parent.children.push(child),
      createChildSet: () => [],
      appendChildToSet: (set: Node[], child: Node) => void set.push(child),
      completeRoot: (surface: number, set: readonly Node[]) => void this.surfaces.set(surface, set),
      registerEventHandler: (handler: Handler) => void (this.handler = handler),
      dispatchCommand: (node: Node, name: string, args: readonly unknown[]) => this.command(node.family, name, args),
      measure: (_node: Node, tell: (...rect: number[]) => void) => tell(...measured, frame.x, frame.y),
      measureInWindow: (_node: Node, tell: (...rect: number[]) => void) => tell(...measured),
      setIsJSResponder: () => undefined,
      unstable_getCurrentEventPriority: () => this.priority,
      unstable_DefaultEventPriority: priorities.default,
      unstable_DiscreteEventPriority: priorities.discrete,
      unstable_ContinuousEventPriority: priorities.continuous,
      unstable_IdleEventPriority: priorities.idle,
    };
  }

  /** The nodes with a test id, in their order. */
  find(id: string): Node[] {
    const found: Node[] = [];
    const look = (node: Node): void => {
      if (node.props['testID'] === id) found.push(node);
      node.children.forEach(look);
    };
    for (const set of this.surfaces.values()) set.forEach(look);
    return found;
  }

  /** A finger on what lies on top of a node, and up again. */
  tap(node: Node): void {
    const [first] = node.children;
    if (first && first.family.view !== 'RCTRawText') return this.tap(first);
    const { tag } = node.family;
    const touch = { pageX: 10, pageY: 10, locationX: 10, locationY: 10, screenX: 10, screenY: 10, identifier: 0, target: tag, force: 0, timestamp: Date.now() };
    this.dispatch(node.family, 'topTouchStart', { ...touch, touches: [touch], changedTouches: [touch], targetTouches: [touch] });
    this.dispatch(node.family, 'topTouchEnd', { ...touch, touches: [], changedTouches: [touch], targetTouches: [] });
  }

  /** Types into a text field, after what it shows. */
  type(node: Node, text: string): void {
    const { family } = node;
    family.text += text;
    this.dispatch(family, 'topChange', { text: family.text, eventCount: ++family.changes });
  }

  private command(family: Family, name: string, [count, text]: readonly unknown[]): void {
    if (name === 'focus') return this.later(() => this.dispatch(family, 'topFocus', {}));
    // Made for a text that is no longer there.
    if (name !== 'setTextAndSelection' || (count as number) < family.changes) return;
    family.text = (text as string | null) ?? family.text;
  }

  private dispatch(family: Family, type: string, payload: object): void {
    this.priority = priorities.discrete;
    try {
      this.handler!(family.handle, type, { ...payload, target: family.tag });
    } finally {
      this.priority = priorities.default;
    }
  }
}

/** What a node and all below it show. */
export function textOf({ props, children }: Node): string {
  return ((props['text'] as string | undefined) ?? '') + children.map(textOf).join('');
}

export type { Node };
