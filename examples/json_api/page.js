'use strict';

const element = (id) => document.getElementById(id);

// Sends a request. What goes wrong is shown, and answers nothing.
async function send(method, path, value) {
  const options = { method };
  if (value !== undefined) {
    options.headers = { 'content-type': 'application/json' };
    options.body = JSON.stringify(value);
  }
  element('problem').textContent = '';
  try {
    const response = await fetch(path, options);
    const answer = response.status === 204 ? {} : await response.json();
    if (response.ok) return answer;
    element('problem').textContent = answer.detail ?? answer.title;
  } catch (error) {
    element('problem').textContent = error.message;
  }
}

// A title is text, whatever is in it: it never becomes markup.
function show(todo) {
  const item = document.createElement('li');
  const label = document.createElement('label');
  const done = document.createElement('input');
  const remove = document.createElement('button');
  done.type = 'checkbox';
  done.checked = todo.done;
  item.classList.toggle('done', todo.done);
  label.append(done, ` ${todo.title}`);
  remove.textContent = 'Delete';
  done.onchange = async () => {
    const changed = await send('PATCH', `/todos/${todo.id}`, { done: done.checked });
    if (!changed) done.checked = !done.checked;
    item.classList.toggle('done', done.checked);
  };
  remove.onclick = async () => {
    if (await send('DELETE', `/todos/${todo.id}`)) item.remove();
  };
  item.append(label, remove);
  element('todos').append(item);
}

element('new').onsubmit = async (event) => {
  event.preventDefault();
  const todo = await send('POST', '/todos', { title: element('title').value });
  if (!todo) return;
  show(todo);
  element('title').value = '';
};

send('GET', '/todos').then((todos) => {
  todos?.forEach(show);
  document.body.dataset.loaded = 'yes';
});
