import { commands } from './connection';
import { ready } from './testing/data';

it('the commands forward the port of the Service and take the password from the Secret', () => {
  const { endpoint } = ready;
  expect(endpoint && commands(endpoint)).toBe(
    [
      'kubectl -n postgres-vdbs-feat-1 port-forward service/feat-1-vdb 15432:5432 &',
      'export PGPASSWORD=$(kubectl -n postgres-vdbs-feat-1 get secret feat-1-vdb-credentials \\',
      "  -o jsonpath='{.data.password}' | base64 -d)",
      'psql -h localhost -p 15432 -U app largedb',
    ].join('\n'),
  );
});
