import type { Entity } from '@backstage/catalog-model';
import { renderInTestApp, TestApiProvider } from '@backstage/frontend-test-utils';
import { EntityProvider } from '@backstage/plugin-catalog-react';
import { act, screen } from '@testing-library/react';
import { vdbApiRef } from '../api/client';
import { ready } from '../testing/data';
import { DatabaseCard } from './DatabaseCard';

const show = async (annotations: Record<string, string>) => {
  const environment = jest.fn(async (_name: string) => ready);
  const entity: Entity = {
    apiVersion: 'backstage.io/v1alpha1',
    kind: 'Resource',
    metadata: { name: 'feat-1', namespace: 'default', annotations },
    spec: { type: 'database' },
  };
  await act(async () => {
    renderInTestApp(
      <TestApiProvider apis={[[vdbApiRef, { environment }]]}>
        <EntityProvider entity={entity}>
          <DatabaseCard />
        </EntityProvider>
      </TestApiProvider>,
    );
  });
  return environment;
};

it('asks for the environment of the annotation and offers to retire it', async () => {
  const environment = await show({ 'postgres-vdb-platform/environment': 'feat-1' });
  await screen.findByTestId('vdb-environment');
  expect(environment.mock.calls[0]?.[0]).toBe('feat-1');
  const href = screen.getByTestId('vdb-retire').getAttribute('href') ?? '';
  const { pathname, searchParams } = new URL(href, 'http://portal');
  expect(pathname).toBe('/create/templates/default/vdb-retire');
  expect(JSON.parse(searchParams.get('formData') ?? '')).toEqual({
    entity: 'resource:default/feat-1',
  });
});

it('an entity without the annotation is told apart', async () => {
  const environment = await show({});
  expect(await screen.findByTestId('vdb-no-environment')).toBeInTheDocument();
  expect(environment).not.toHaveBeenCalled();
  expect(screen.queryByTestId('vdb-retire')).toBeNull();
});
