import { Button, Input, ScrollView, Text, View } from '@tarojs/components';
import { useEffect, useRef, useState } from 'react';
import { clientFor } from '../../moorline.js';

export default function Chat() {
  const [user, setUser] = useState('');
  return <View className="page">{user ? <Room user={user} /> : <Entrance onEnter={setUser} />}</View>;
}

function Entrance({ onEnter }) {
  const [name, setName] = useState('');
  const enter = () => name.trim() && onEnter(name.trim());
  return (
    <View className="card">
      <Text className="title">Who are you?</Text>
      <Input className="field" id="name" value={name} placeholder="A name" onInput={(event) => setName(event.detail.value)} onConfirm={enter} />
      <Button className="button" id="enter" onClick={enter}>Join the lobby</Button>
    </View>
  );
}

function Room({ user }) {
  const [items, setItems] = useState([]);
  const [{ state, why }, setState] = useState({ state: 'idle', why: '' });
  const [members, setMembers] = useState(0);
  const [text, setText] = useState('');
  const room = useRef(null);

  /** Adds a message, or says what has become of it. */
  const show = (id, who, what, receipt) =>
    setItems((before) =>
      before.some((item) => item.id === id)
        ? before.map((item) => (item.id === id ? { ...item, receipt } : item))
        : [...before, { id, who, text: what, receipt }],
    );

  useEffect(() => {
    const client = clientFor(user);
    client.on('state', (now, { error }) => setState({ state: now, why: error ? error.message : '' }));
    const channel = client.channel('lobby', { since: { last: 30 }, presence: 'join' });
    channel.on('message', (message) => show(message.id, message.user ?? 'nobody', message.text ?? JSON.stringify(message.data), 'stored'));
    channel.presence.on('change', (_changes, { count }) => setMembers(count));
    room.current = channel;
    return () => void client.close();
  }, [user]);

  const send = () => {
    const what = text.trim();
    if (!what) return;
    setText('');
    const receipt = room.current.publish(what);
    show(receipt.id, user, what, receipt.state);
    receipt.progress.subscribe(() => show(receipt.id, user, what, receipt.state));
  };

  const waiting = state === 'closed' ? `Ended: ${why}` : 'No connection: messages wait and go out by themselves';
  const banner = state === 'online' ? `Online, ${members} here` : waiting;
  return (
    <View className="room">
      <View className={`banner ${state}`} id="banner">{banner}</View>
      <ScrollView className="list" scrollY scrollIntoView={items.length ? `m${items[items.length - 1].id}` : ''}>
        {items.map((item) => (
          <View key={item.id} id={`m${item.id}`} className={item.who === user ? 'item own' : 'item'}>
            <Text className="who">{item.who}</Text>
            <Text className="text">{item.text}</Text>
            {item.who === user && <Text className="receipt">{item.receipt}</Text>}
          </View>
        ))}
      </ScrollView>
      <View className="bar">
        <Input className="field" id="text" value={text} placeholder="A message" confirmType="send" onInput={(event) => setText(event.detail.value)} onConfirm={send} />
        <Button className="button" id="send" onClick={send}>Send</Button>
      </View>
    </View>
  );
}
