import type { Endpoint } from './api/types';

/** The local end of the forwarded port: 5432 is often taken by a server of one's own. */
const LOCAL_PORT = 15432;

/** What to type to reach a database from a terminal that has kubectl and psql. */
export function commands(endpoint: Endpoint): string | undefined {
  const { host, port, database, user, secret, namespace } = endpoint;
  const service = host.split('.')[0];
  if (!service || !secret || !namespace) {
    return undefined;
  }
  const kubectl = `kubectl -n ${namespace}`;
  return [
    `${kubectl} port-forward service/${service} ${LOCAL_PORT}:${port} &`,
    `export PGPASSWORD=$(${kubectl} get secret ${secret} \\`,
    `  -o jsonpath='{.data.password}' | base64 -d)`,
    `psql -h localhost -p ${LOCAL_PORT} -U ${user} ${database}`,
  ].join('\n');
}
