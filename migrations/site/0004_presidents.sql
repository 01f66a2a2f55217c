-- presidents.44@: the presidents of the clubs of a département; the board writes too.
create view lists.presidents as
select c.departement, m.email, m.full_name as name, m.lang, m.id::text as person
  from club.role_held r
  join club.club c on c.id = r.club_id
  join club.member m on m.id = r.member_id
 where r.role = 'president' and r.until is null and m.active;
create view lists.presidents_authors as
select departement, email from lists.presidents
union
select d.code, b.email from club.departement d, lists.committee_role b where b.committee = 'comite';
select lists.define('lists.presidents', address => 'presidents.{departement}',
    title => 'Présidents, {departement}', why => 'comme président d''un club ({departement})',
    post => 'lists.presidents_authors');
