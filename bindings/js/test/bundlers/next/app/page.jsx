import { version } from 'moorline';
import { Chat } from './chat.jsx';

export default function Page() {
  return <main data-version={version}><Chat /></main>;
}
