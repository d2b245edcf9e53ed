import React, { useEffect, useRef, useState } from 'react';
import { Pressable, SafeAreaView, ScrollView, StyleSheet, Text, TextInput, View } from 'react-native';
import { clientFor } from './moorline';

export default function App() {
  const [user, setUser] = useState('');
  return <SafeAreaView style={styles.page}>{user ? <Room user={user} /> : <Entrance onEnter={setUser} />}</SafeAreaView>;
}

function Entrance({ onEnter }) {
  const [name, setName] = useState('');
  const enter = () => name.trim() && onEnter(name.trim());
  return (
    <View style={styles.card}>
      <Text style={styles.title}>Who are you?</Text>
      <TextInput testID="name" style={styles.field} value={name} placeholder="A name" onChangeText={setName} onSubmitEditing={enter} />
      <Pressable testID="enter" style={styles.button} accessibilityRole="button" onPress={enter}>
        <Text style={styles.buttonText}>Join the lobby</Text>
      </Pressable>
    </View>
  );
}

function Room({ user }) {
  const [items, setItems] = useState([]);
  const [state, setState] = useState('idle');
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
    client.on('state', (now) => setState(now));
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

  const isOnline = state === 'online';
  return (
    <View style={styles.room}>
      <Text testID="banner" style={[styles.banner, isOnline && styles.online]}>
        {isOnline ? `Online, ${members} here` : 'No connection: messages wait and go out by themselves'}
      </Text>
      <ScrollView style={styles.list}>
        {items.map((item) => (
          <View key={item.id} testID="item" style={[styles.item, item.who === user && styles.own]}>
            <Text style={styles.small}>{item.who}</Text>
            <Text style={styles.text}>{item.text}</Text>
            {item.who === user && <Text style={styles.small}>{item.receipt}</Text>}
          </View>
        ))}
      </ScrollView>
      <View style={styles.bar}>
        <TextInput testID="text" style={styles.field} value={text} placeholder="A message" onChangeText={setText} onSubmitEditing={send} />
        <Pressable testID="send" style={styles.button} accessibilityRole="button" onPress={send}>
          <Text style={styles.buttonText}>Send</Text>
        </Pressable>
      </View>
    </View>
  );
}

const styles = StyleSheet.create({
  page: { flex: 1, backgroundColor: '#f4f5f7' },
  card: { margin: 16, padding: 20, borderRadius: 14, backgroundColor: '#fff', gap: 12 },
  title: { fontSize: 18, fontWeight: '600', color: '#1c2430' },
  field: { flex: 1, minHeight: 40, paddingHorizontal: 12, borderWidth: 1, borderColor: '#cfd6e0', borderRadius: 10, color: '#1c2430' },
  button: { paddingHorizontal: 16, paddingVertical: 11, borderRadius: 10, backgroundColor: '#1f5eff', alignItems: 'center' },
  buttonText: { color: '#fff', fontSize: 15 },
  room: { flex: 1 },
  banner: { padding: 8, paddingHorizontal: 16, backgroundColor: '#ffe9c7', color: '#5c3b00', fontSize: 13 },
  online: { backgroundColor: '#dff5e6', color: '#0d4a26' },
  list: { flex: 1, paddingHorizontal: 16 },
  item: { marginVertical: 4, padding: 10, borderRadius: 12, backgroundColor: '#fff' },
  own: { backgroundColor: '#dbe6ff' },
  small: { fontSize: 12, color: '#5b6675' },
  text: { fontSize: 15, color: '#1c2430' },
  bar: { flexDirection: 'row', gap: 8, alignItems: 'center', padding: 8, paddingHorizontal: 16, backgroundColor: '#fff' },
});
