import {
  Sidebar,
  SidebarDivider,
  SidebarItem,
  SidebarSpace,
} from '@backstage/core-components';
import { createFrontendModule } from '@backstage/frontend-plugin-api';
import {
  NavContentBlueprint,
  type NavContentNavItem,
} from '@backstage/plugin-app-react';
import { Logo } from './Logo';

const Item = ({ href, icon, title }: NavContentNavItem) => (
  <SidebarItem to={href} icon={() => icon} text={title} />
);

const navContent = NavContentBlueprint.make({
  params: {
    component: ({ navItems }) => {
      const nav = navItems.withComponent(Item);
      return (
        <Sidebar>
          <Logo />
          <SidebarDivider />
          {nav.take('page:catalog')}
          {nav.take('page:scaffolder')}
          {nav.take('page:notifications')}
          <SidebarSpace />
          <SidebarDivider />
          {nav.take('page:user-settings')}
        </Sidebar>
      );
    },
  },
});

export const navigation = createFrontendModule({
  pluginId: 'app',
  extensions: [navContent],
});
