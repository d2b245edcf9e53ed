import type { Kernel } from '../../platforms/vm/kernel.js';

type Task = { run: ((didTimeout: boolean) => unknown) | undefined };

/** The scheduler of ReactCommon/react/renderer/runtimescheduler: tasks run one by one, in their order, and never yield. */
export function schedulerOf(later: (run: () => void) => void): object {
  let current = 3;
  const perform = (task: Task, priority: number): void => {
    const { run } = task;
    if (!run) return;
    const before = current;
    current = priority;
    try {
      const rest = run(false);
      task.run = typeof rest === 'function' ? (rest as Task['run']) : undefined;
    } finally {
      current = before;
    }
    if (task.run) later(() => perform(task, priority));
  };
  return {
    unstable_scheduleCallback(priority: number, run: Task['run']): Task {
      const task = { run };
      later(() => perform(task, priority));
      return task;
    },
    unstable_cancelCallback: (task: Task) => void (task.run = undefined),
    unstable_shouldYield: () => false,
    unstable_requestPaint: () => undefined,
    unstable_now: () => Date.now(),
    unstable_getCurrentPriorityLevel: () => current,
    unstable_ImmediatePriority: 1,
    unstable_UserBlockingPriority: 2,
    unstable_NormalPriority: 3,
    unstable_LowPriority: 4,
    unstable_IdlePriority: 5,
  };
}

/** The globals that ReactCommon/react/runtime/TimerManager.cpp attaches. */
export function timersOf(kernel: Kernel): object {
  const intervals = new Map<number, number>();
  let count = 0;
  const every = (id: number, fire: () => void, ms: number): void => {
    intervals.set(id, kernel.setTimeout(() => {
      every(id, fire, ms);
      fire();
    }, ms));
  };
  return {
    setTimeout: (fire: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) => kernel.setTimeout(() => fire(...args), ms),
    clearTimeout: (id: number) => kernel.clearTimeout(id),
    setInterval(fire: (...args: unknown[]) => void, ms = 0, ...args: unknown[]): number {
      every(++count, () => fire(...args), ms);
      return count;
    },
    clearInterval(id: number): void {
      kernel.clearTimeout(intervals.get(id) ?? 0);
      intervals.delete(id);
    },
    requestAnimationFrame: (fire: (now: number) => void) => kernel.setTimeout(() => fire(Date.now()), 16),
    cancelAnimationFrame: (id: number) => kernel.clearTimeout(id),
  };
}
