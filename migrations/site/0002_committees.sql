-- secretaire.comite@, comite_directeur.comite@, membre.arbitrage@ ...
create view lists.committee_role as
select r.role, c.slug as committee,
       m.email, m.full_name as name, m.lang, m.id::text as person,
       true as may_post, r.role = 'secretaire' as moderator
  from club.role_held r
  join club.committee c on c.id = r.committee_id
  join club.member m on m.id = r.member_id
 where m.active and r.until is null;

select lists.define(
    view    => 'lists.committee_role',
    address => '{role}.{committee}',
    title   => '{role}, {committee}',
    why     => 'en raison de votre fonction ({role}, {committee})',
    post    => 'members');
