import type { Client, Receipt } from 'moorline';

/** A line of the chat, as the screen shows it. */
export interface Line {
  readonly id: string;
  readonly from: string;
  readonly text: string;
  /** Of one's own lines: whether it waits, is on the server, or will never be. */
  readonly mark: 'waiting' | 'sent' | 'failed' | 'none';
}

/** What the screen of one room shows. It knows nothing of sockets, retries and offline times. */
export class Chat {
  /** What stands above everything else, if anything does. */
  banner = 'Connecting …';
  /** Where lines are missing that nobody has any more. */
  hasGap = false;
  readonly lines: Line[] = [];
  private readonly room;

  constructor(
    private readonly client: Client,
    room: string,
    private readonly me: string,
  ) {
    client.on('state', () => this.showConnection());
    this.room = client.channel(room, { presence: 'join', since: { last: 50 } });
    this.room.on('message', (message) => this.show({ id: message.id, from: message.user ?? '?', text: message.text ?? '', mark: 'none' }));
    this.room.on('reset', () => (this.hasGap = true));
  }

  /** Who is here. */
  get people(): string[] {
    return this.room.presence.members.map(({ user }) => user);
  }

  say(text: string): void {
    const receipt = this.room.publish(text);
    this.show({ id: receipt.id, from: this.me, text, mark: 'waiting' });
    receipt.progress.subscribe(() => this.showReceipt(receipt));
  }

  private showConnection(): void {
    const { current } = this.client.connection;
    if (current.state === 'online') this.banner = '';
    else if (current.state === 'closed') this.banner = current.cause?.code === 'auth.invalid' ? 'Please log in again.' : 'Signed out.';
    else this.banner = current.state === 'recovering' ? 'Offline. What you write is sent later.' : 'Connecting …';
  }

  private showReceipt(receipt: Receipt): void {
    const index = this.lines.findIndex(({ id }) => id === receipt.id);
    const line = this.lines[index];
    if (!line) return;
    if (receipt.state === 'stored') this.lines[index] = { ...line, mark: 'sent' };
    if (receipt.state === 'failed') this.lines[index] = { ...line, mark: 'failed' };
  }

  private show(line: Line): void {
    // One's own line is there already when it comes back.
    if (!this.lines.some(({ id }) => id === line.id)) this.lines.push(line);
  }
}
