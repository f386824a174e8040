import { render, screen, within } from '@testing-library/react';
import { MemoryRouter } from 'react-router-dom';
import type { EnvironmentState } from '../hooks/useEnvironment';
import { now, provisioning, ready } from '../testing/data';
import { EnvironmentView } from './EnvironmentView';

const show = (state: EnvironmentState) =>
  render(
    <MemoryRouter
      future={{ v7_startTransition: true, v7_relativeSplatPath: true }}
    >
      <EnvironmentView name="feat-1" state={state} now={now} />
    </MemoryRouter>,
  );

const text = (testId: string) => screen.getByTestId(testId).textContent;

it('a ready database says so, and how to reach it', () => {
  show({ kind: 'found', environment: ready });
  expect(screen.getByTestId('vdb-environment')).toHaveAttribute(
    'data-ready',
    'true',
  );
  expect(text('vdb-phase')).toBe('Ready');
  expect(text('vdb-reason')).toBe('Query answered');
  expect(screen.getByTestId('vdb-status')).toHaveAttribute('data-tone', 'good');
  expect(screen.queryByTestId('vdb-hint')).toBeNull();
  expect(text('vdb-data-as-of')).toBe('3 hours ago');
  expect(text('vdb-host')).toBe(
    'feat-1-vdb.postgres-vdbs-feat-1.svc.cluster.local:5432',
  );
  expect(text('vdb-secret')).toBe(
    'postgres-vdbs-feat-1 / feat-1-vdb-credentials',
  );
  expect(text('vdb-command')).toContain('psql -h localhost -p 15432');
  expect(screen.getByTestId('vdb-pull-request')).toHaveAttribute(
    'href',
    'http://gitea.localhost:3000/acme/databases/pulls/7',
  );
});

it('the timeline lists each stage and the whole', () => {
  show({ kind: 'found', environment: ready });
  expect(text('vdb-elapsed')).toBe('4.0 s');
  expect(text('vdb-stage-post-create')).toContain('3.0 s');
});

it('a database that is not ready shows reason, message and hint', () => {
  show({ kind: 'found', environment: provisioning });
  expect(text('vdb-phase')).toBe('Provisioning');
  expect(text('vdb-reason')).toBe('Hook failed');
  expect(text('vdb-message')).toBe('hook init ended with exit code 3');
  expect(text('vdb-hint')).toContain('correct the script');
  expect(screen.queryByTestId('vdb-connection')).toBeNull();
});

it('several databases stand one below the other', () => {
  show({
    kind: 'found',
    environment: {
      ...ready,
      databases: [
        { ...ready, name: 'feat-1-orders-vdb' },
        { ...provisioning, name: 'feat-1-billing-vdb' },
      ],
    },
  });
  const all = within(screen.getByTestId('vdb-environment'));
  expect(all.getAllByTestId('vdb-phase').map(e => e.textContent)).toEqual([
    'Ready',
    'Provisioning',
  ]);
  expect(all.getByText('feat-1-billing-vdb')).toBeInTheDocument();
});

it('an unreachable platform is said, with what was last known', () => {
  show({ kind: 'unreachable', message: '504 Timeout', last: ready });
  expect(text('vdb-unreachable')).toContain('504 Timeout');
  expect(text('vdb-phase')).toBe('Ready');
});

it('an unreachable platform of which nothing is known is only said', () => {
  show({ kind: 'unreachable', message: '504 Timeout' });
  expect(screen.queryByTestId('vdb-environment')).toBeNull();
});

it('an environment that is not there, and one that was retired, are said', () => {
  const { unmount } = show({ kind: 'absent' });
  expect(text('vdb-absent')).toContain('There is no environment feat-1');
  unmount();
  show({
    kind: 'found',
    environment: { ...ready, request: { id: 'x', state: 'RETIRED' } },
  });
  expect(text('vdb-retired')).toContain('feat-1 was retired');
});
