// A client of two servers, each of which is stopped and started again. It sends requests to both in
// turn, over connections that stay open, until its standard input ends. Then it prints how many
// requests were answered, refused and lost.
//
// If a connect is refused, it has sent nothing and goes to the other server, as a load balancer
// would. Every other failure is a lost request.
'use strict';
const http = require('http');

const servers = process.argv.slice(2, 4);
const clients = Number(process.argv[4]);
// The next request uses the connection that was idle longest, so that all connections are used.
const agent = new http.Agent({ keepAlive: true, maxSockets: clients, scheduling: 'fifo' });
const seen = { answered: 0, refused: 0, lost: [] };
let goesOn = true;

function ask(server) {
  return new Promise((resolve, reject) => {
    const [host, port] = server.split(':');
    const request = http.get({ agent, host, port, path: '/hello' }, (response) => {
      response.on('error', reject);
      response.on('end', () => {
        if (response.statusCode === 200) resolve();
        else reject(new Error('status ' + response.statusCode));
      });
      response.resume();
    });
    request.on('error', reject);
  });
}

async function client(number) {
  for (let turn = number; goesOn; turn++) {
    try {
      await ask(servers[turn % 2]);
      seen.answered++;
    } catch (error) {
      if (error.code === 'ECONNREFUSED') seen.refused++;
      else seen.lost.push(error.code || error.message);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

process.stdin.on('end', () => { goesOn = false; }).resume();
const all = Array.from({ length: clients }, (_, number) => client(number));
Promise.all(all).then(() => {
  console.log(`${seen.answered} ${seen.refused} ${seen.lost.length} ${seen.lost.slice(0, 5)}`);
  agent.destroy();
  process.exit(0);
});
