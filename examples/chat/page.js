'use strict';

const element = (id) => document.getElementById(id);
let socket;
let latest = 0; // the number of the list of members that is shown

// Names and messages are text, whatever is in them: they never become markup.
function item(text) {
  const item = document.createElement('li');
  item.textContent = text;
  return item;
}

function showState(text, isOpen) {
  element('state').textContent = text;
  element('text').disabled = !isOpen;
  element('say').querySelector('button').disabled = !isOpen;
}

function hear({ members, change, name, text }) {
  if (members) {
    if (change < latest) return;
    latest = change;
    element('members').replaceChildren(...members.map(item));
  } else {
    element('messages').append(item(`${name}: ${text}`));
  }
}

element('join').onsubmit = (event) => {
  event.preventDefault();
  socket?.close(1000);
  const room = element('room').value;
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
  const path = `/ws/rooms/${encodeURIComponent(room)}`;
  const query = new URLSearchParams({ name: element('name').value });
  const own = new WebSocket(`${scheme}://${location.host}${path}?${query}`);
  socket = own;
  latest = 0;
  element('messages').replaceChildren();
  element('members').replaceChildren();
  showState('joining', false);
  own.onopen = () => showState(`in ${room}`, true);
  own.onmessage = (message) => {
    if (own === socket) hear(JSON.parse(message.data));
  };
  own.onclose = ({ code, reason }) => {
    if (own !== socket) return; // another room was joined meanwhile
    element('members').replaceChildren();
    showState(`left: ${code} ${reason}`.trim(), false);
  };
};

element('say').onsubmit = (event) => {
  event.preventDefault();
  socket.send(element('text').value);
  element('text').value = '';
};

async function listRooms() {
  const rooms = await (await fetch('/rooms')).json();
  element('rooms').replaceChildren(...rooms.map(({ name, members }) => {
    const option = document.createElement('option');
    option.value = name;
    option.label = `${name} (${members})`;
    return option;
  }));
}

element('room').onfocus = listRooms;
listRooms().finally(() => {
  document.body.dataset.loaded = 'yes';
});
