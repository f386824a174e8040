import type { Endpoint } from '@postgres-vdb-platform/backstage-plugin-vdb-common';

/** The local end of the forwarded port: 5432 is often taken by a server of one's own. */
const LOCAL_PORT = 15432;

/** What to type to reach a database from a terminal that has kubectl and psql. */
export function commands(endpoint: Endpoint): string {
  const { host, port, database, user, secret, namespace } = endpoint;
  const [service] = host.split('.', 1);
  const kubectl = `kubectl -n ${namespace}`;
  return [
    `${kubectl} port-forward service/${service} ${LOCAL_PORT}:${port} &`,
    `export PGPASSWORD=$(${kubectl} get secret ${secret} \\`,
    `  -o jsonpath='{.data.password}' | base64 -d)`,
    `psql -h localhost -p ${LOCAL_PORT} -U ${user} ${database}`,
  ].join('\n');
}
